package convert

import (
	"slices"
	"strconv"
	"strings"
)

// needlessKeys returns the settings of a tool that a user of cton does not miss: those of its buffers, logs and connections.
func needlessKeys(tool string) []string {
	switch tool {
	case "Telegraf":
		return []string{
			"agent.round_interval", "agent.metric_batch_size", "agent.metric_buffer_limit", "agent.flush_interval", "agent.flush_jitter", "agent.precision",
			"agent.debug", "agent.quiet", "agent.logtarget", "agent.logfile", "agent.logformat", "agent.logfile_rotation_interval",
			"agent.logfile_rotation_max_size", "agent.logfile_rotation_max_archives", "agent.log_with_timezone",
			"agent.snmp_translator", "agent.buffer_strategy", "agent.buffer_directory", "agent.skip_processors_after_aggregators",
			"alias", "precision", "log_level", "startup_error_behavior", "startup_retry_behavior", "order", "optional", "json_strict", "collectors_exclude",
			"expiration_interval", "metric_version", "idle_conn_timeout", "max_idle_conn", "max_idle_conn_per_host", "flush_interval", "flush_jitter",
			"metric_batch_size", "metric_buffer_limit", "data_format", "connection_max_idle_time", "connection_max_life_time", "connection_max_open",
			"connection_max_idle", "disconnected_servers_behavior", "response_timeout", "keep_alive",
		}
	case "Prometheus":
		return []string{
			"global.evaluation_interval", "global.query_log_file", "global.rule_query_offset", "global.scrape_failure_log_file", "storage", "runtime",
			"file_sd_configs.refresh_interval", "otlp", "tracing",
		}
	case "sql_exporter":
		return []string{
			"global.scrape_timeout_offset", "global.scrape_error_drop_interval", "global.max_connections", "global.max_idle_connections",
			"global.max_connection_lifetime", "no_prepared_statement", "enable_ping", "collector_name",
		}
	case "script_exporter":
		return []string{"timeout.enforced", "log", "ignore_on_fail", "ignoreOutputOnFail"}
	}
	return nil
}

// maxUnread is the maximum number of notes about settings that were not read.
const maxUnread = 200

// unread adds a note for each setting that is in a file but that the conversion has not read. So no setting is lost silently.
func (o *output) unread(tool string, root *node) {
	u := &unreadKeys{out: o, noted: map[place]bool{}, needless: needlessKeys(tool)}
	for _, notes := range o.allNotes() {
		u.addNotes(notes)
	}
	u.walk(root, nil)
	for all := range slices.Chunk(u.fine, 8) {
		o.head = append(o.head, "Not needed here: "+strings.Join(all, "; ")+".")
	}
	if u.more > 0 {
		o.lose(&o.problems, 0, "", "%d more settings have no counterpart", u.more)
	}
}

// place is a key in a file.
type place struct {
	line int
	key  string
}

type unreadKeys struct {
	out      *output
	noted    map[place]bool // keys that have a note; the keys below them need no note
	needless []string
	fine     []string // needless keys that the file has
	more     int      // number of notes beyond maxUnread
	count    int
}

func (u *unreadKeys) addNotes(all []note) {
	for _, n := range all {
		u.noted[place{n.line, lastKey(n.key)}] = true
	}
}

// lastKey returns the part of a dotted key after the last dot.
func lastKey(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

func (u *unreadKeys) walk(n *node, path []string) {
	if n == nil {
		return
	}
	if len(path) > 0 && (u.noted[place{n.line, path[len(path)-1]}] || n.kind == mapping && u.noted[place{n.line, "job_name"}]) {
		return
	}
	for _, item := range n.items {
		u.walk(item, path)
	}
	for i := range n.members {
		m := &n.members[i]
		below := append(slices.Clone(path), m.key)
		switch {
		case u.noted[place{m.line, m.key}]:
		case m.read:
			u.walk(m.value, below)
		case !m.value.empty():
			u.add(m, below)
		}
	}
}

func (u *unreadKeys) add(m *member, path []string) {
	key := word(m.key)
	if secretText(m.key) {
		key = "a key"
	}
	whole := strings.Join(path, ".")
	isNeedless := slices.ContainsFunc(u.needless, func(s string) bool { return s == whole || strings.HasSuffix(whole, "."+s) })
	switch {
	case isNeedless:
		u.fine = append(u.fine, "line "+strconv.Itoa(m.line)+", "+key)
	case u.count == maxUnread:
		u.more++
	default:
		u.count++
		u.out.lose(&u.out.problems, m.line, key, "there is no counterpart")
	}
}
