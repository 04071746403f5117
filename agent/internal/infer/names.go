package infer

import (
	"slices"
	"strings"
)

// maxValues is the maximum number of values of a label.
const maxValues = 12

func isID(w []string) bool {
	if len(w) == 0 {
		return false
	}
	last := w[len(w)-1]
	return has([]string{last}, "id", "ids", "uuid", "guid", "uid", "key", "iid", "serial", "sn", "mac", "hash", "sha", "rid", "vmid", "token", "etag", "last4", "fingerprint", "digest", "oid", "pk", "cursor", "nonce", "slug", "incidentnumber") ||
		last == "number" && !has(w, "of") || last == "no" && len(w) > 1 || has(w, "uuid", "guid")
}

func isPlace(w []string) bool {
	return has(w, "lat", "lon", "lng", "latitude", "longitude", "coord", "coords", "coordinates", "elevation", "easting", "northing") ||
		has(w, "utc", "gmt") && has(w, "offset") || has(w, "timezone", "tz")
}

func isPaging(keys []string) bool {
	if len(keys) == 0 {
		return false
	}
	w := words(keys[len(keys)-1])
	text := join(keys[len(keys)-1])
	around := false
	for _, key := range keys[:len(keys)-1] {
		around = around || has(words(key), "meta", "pagination", "paging", "page", "pageable", "cursor", "response_metadata")
	}
	flags := has([]string{text}, "has_more", "has_next", "has_next_page", "has_previous_page", "has_prev", "more", "empty", "first", "last", "truncated", "is_last", "is_truncated")
	return flags && (around || len(keys) == 1) || has([]string{text}, "page", "per_page", "page_size", "pagesize", "page_number", "current_page", "last_page", "total_pages", "page_count", "limit", "offset", "skip", "start_at", "max_results", "first_page", "size", "start",
		"next_page", "prev_page", "previous_page", "number_of_elements", "next", "previous", "last", "first", "remaining_item_count") && (around || len(keys) == 1) ||
		around && (has(w, "page", "pages") || has([]string{text}, "size", "number", "count", "from", "to", "per", "items_per_page"))
}

func isCodeName(w []string) bool {
	return has(w, "code", "priority", "severity", "level", "class", "category", "version", "tier", "grade", "httpstatus", "statuscode") && !has(w, "percent", "battery", "fuel", "water", "signal", "noise", "sound", "tank", "sea", "ground", "grnd")
}

func isVersion(w []string) bool {
	return slices.ContainsFunc(w, func(word string) bool { return strings.HasSuffix(word, "version") }) || has(w, "firmware", "build", "release", "phone", "zip", "postcode", "postal", "vlan", "asn")
}

func isFixed(w []string) bool {
	return has(w, "port", "pid", "year", "index", "position", "order", "sort", "seed", "version", "generation", "weekday", "interval", "generationtime", "ttl", "platform", "gate", "bits", "bitmask", "functionbitmask") && !has(w, "ports")
}

func isProse(w []string) bool {
	return has(w, "subject", "title", "description", "summary", "message", "comment", "comments", "text", "body", "note", "notes", "content", "headline", "reason", "details", "log", "bio", "address", "sentence", "shortforecast", "detailedforecast")
}

func isStateName(w []string) bool {
	return has(w, "status", "state", "health", "phase", "condition", "indicator", "availability", "conclusion", "outcome", "result", "mode", "stage", "color", "colour")
}

func isLabelName(w []string) bool {
	return isStateName(w) || scopeRank(w) < len(scopes())
}

// scopes returns names of fields that group items, the most useful name first.
func scopes() []string {
	return []string{
		"status", "state", "conclusion", "phase", "health", "condition", "indicator", "severity", "priority", "impact", "outcome", "type", "kind", "category", "class", "queue", "team", "assignee", "group",
		"currency", "unit", "namespace", "site", "region", "zone", "area", "country", "city", "location", "room", "cluster", "environment", "env", "project", "product", "service", "model", "vendor", "brand", "tier", "level",
		"language", "branch", "event", "method", "role", "mode", "network", "interface", "carrier", "protocol", "source", "channel", "code", "sensor", "fuel", "owner", "license", "visibility", "resolution", "workflow", "plan", "stage", "platform", "os", "arch",
	}
}

// scopeRank returns how useful a field is as a label; smaller numbers are better.
func scopeRank(w []string) int {
	for i, scope := range scopes() {
		if has(w, scope) {
			return i
		}
	}
	return len(scopes())
}

// nameRank returns how well a field names an item; smaller numbers are better.
func nameRank(w []string) int {
	order := []string{"name", "shortname", "displayname", "fullname", "hostname", "host", "fqdn", "instance", "symbol", "label", "device", "node", "interface", "sensor", "station", "location", "region", "currency", "country", "city", "code", "slug", "mount", "mountpoint", "filesystem", "channel", "serial", "ip", "address"}
	if len(w) == 0 {
		return len(order)
	}
	at := slices.Index(order, w[len(w)-1])
	if at < 0 {
		return len(order)
	}
	return at
}

// isCounterName reports whether the name alone shows that a number only increases.
func isCounterName(w []string) bool {
	if len(w) == 0 {
		return false
	}
	w = beforeUnit(w)
	if has(w, "mem", "memory", "heap", "ram", "swap") {
		return false // an amount of memory can also decrease
	}
	total := w[len(w)-1] == "total" || w[0] == "total" || has(w, "total", "lifetime", "cumulative")
	moves := has(w, "rx", "tx", "in", "out", "sent", "received", "recv", "transmitted", "transmit", "receive", "input", "output", "ifin", "ifout", "read", "written", "upload", "download", "uploaded", "downloaded")
	what := has(w, "bytes", "octets", "packets", "pkts", "frames", "drops", "dropped", "discards", "datagrams", "segments", "messages")
	return moves && what && !has(w, "rate", "per", "bps", "speed", "utilization", "free", "size") || total && isEventName(w) && !has(w, "available")
}

// beforeUnit returns the words without the "in" of a unit, as in size_in_bytes. That "in" does not mean that bytes come in.
func beforeUnit(w []string) []string {
	if n := len(w); n > 2 && w[n-2] == "in" && unitOfName(w).name != "" {
		return append(slices.Clone(w[:n-2]), w[n-1])
	}
	return w
}

// isEnergyTotal reports whether a name is probably the name of a total that can have fractions, such as the energy or the distance
// since a device was installed.
func isEnergyTotal(w []string) bool {
	total := has(w, "total", "lifetime", "cumulative", "import", "imported", "export", "exported", "increasing")
	return has(w, "odometer") || total && has(w, "energy", "aenergy", "kwh", "wh", "mwh", "varh", "consumption", "production", "generation", "yield", "distance", "mileage", "volume", "gas", "water", "rain") && !has(w, "price", "cost", "tax", "amount")
}

// isEventName reports whether a name is probably the name of a count of events.
func isEventName(w []string) bool {
	return has(w, "requests", "reqs", "request", "hits", "misses", "errors", "error", "failures", "restarts", "restart", "retries", "drops", "dropped", "sent", "received", "processed", "served", "completed", "failed", "succeeded",
		"handled", "accepts", "accepted", "evictions", "evicted", "connections", "commands", "queries", "reads", "writes", "bytes", "packets", "octets", "messages", "events", "published", "delivered", "acked", "ack", "deliver", "publish",
		"interrupts", "switches", "faults", "cycles", "rounds", "calls", "invocations", "operations", "ops", "kwh", "wh", "energy", "consumption", "odometer", "downloads", "visits", "logins", "transactions", "clicks", "impressions", "expired", "rejected", "created", "slow", "pings", "reboots", "crashes", "resets", "netin", "netout", "diskread", "diskwrite")
}

// isGaugeName reports whether a name shows that a number can decrease.
func isGaugeName(w []string) bool {
	return has(w, "rate", "per", "avg", "average", "mean", "median", "percent", "ratio", "current", "free", "used", "available", "limit", "max", "min", "size", "length", "age", "uptime", "temperature", "temp", "open", "active", "pending",
		"queued", "waiting", "running", "idle", "percentage", "pct", "load", "price", "balance", "today", "daily", "hourly", "weekly", "monthly", "last", "p50", "p90", "p95", "p99", "memory", "capacity", "usage", "speed", "1h", "24h", "5m", "1m", "unread", "unacknowledged", "backlog", "lag", "depth")
}

// isAdditive reports whether it makes sense to add up this number over several items.
func isAdditive(w []string) bool {
	if has(w, "avg", "average", "mean", "median", "min", "max", "percent", "percentage", "pct", "ratio", "rate", "price", "p50", "p90", "p95", "p99") {
		return false
	}
	return has(w, "amount", "count", "bytes", "size", "quantity", "qty", "cost", "costs", "points", "total", "fee", "fees", "tax", "revenue", "refunded", "paid", "comments", "items", "hours", "lines", "additions", "deletions", "energy", "kwh", "clicks", "views", "likes", "downloads", "requests", "errors", "stars", "forks", "restarts", "used", "capacity", "votes", "weight", "estimate", "spent", "net", "gross")
}

// isGood reports whether a state is good, and whether the state is known at all.
func isGood(text string) (good, known bool) {
	w := join(text)
	switch {
	case slices.Contains([]string{
		"ok", "up", "online", "operational", "healthy", "running", "active", "available", "success", "succeeded", "successful", "passed", "passing", "pass", "green", "ready", "normal", "connected", "enabled", "on", "yes", "good", "alive", "reachable", "none", "okay", "true", "present", "all_systems_operational", "established", "synced", "optimal",
	}, w):
		return true, true
	case slices.Contains([]string{
		"down", "offline", "failed", "failure", "error", "errored", "critical", "major", "unhealthy", "inactive", "unavailable", "red", "disconnected", "disabled", "off", "no", "fail", "failing", "stopped", "dead", "unreachable", "not_ready", "notready", "degraded", "warning", "warn", "minor", "partial_outage", "major_outage", "degraded_performance",
		"under_maintenance", "maintenance", "yellow", "orange", "pending", "unknown", "false", "crash_loop_back_off", "lost", "timeout", "alert", "absent", "idle", "standby", "bad", "false_alarm", "starting", "stale", "faulty", "fault", "exited", "paused", "restarting", "terminated", "bypass", "outage", "disrupted", "disruption",
	}, w):
		return false, true
	}
	return false, false
}
