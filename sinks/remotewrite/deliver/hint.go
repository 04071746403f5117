package deliver

import "strings"

// hintRule says what to do about a rejection. It applies if the text of the response contains the text in the field "words", which is in
// lower case. If this field is "", the rule applies to the status code.
type hintRule struct {
	code  int
	words string
	do    string
}

const (
	doFixURL  = "set url to the address that it redirects to"
	doFixPath = "check the path of url: Prometheus has /api/v1/write, Mimir and Cortex /api/v1/push, " +
		"Thanos /api/v1/receive, VictoriaMetrics /api/v1/write"
)

// hintRules returns the rules in the order in which they are tried. If a receiver refuses only some samples of a request, Mimir and Cortex
// store the other samples. Prometheus stores the other samples in 2.0, and no samples in 1.0. VictoriaMetrics drops the bad samples and
// answers 2xx.
func hintRules() []hintRule {
	const (
		order = "another sender writes the same series, or the clock went back: give each agent its own instance label"
		old   = "the receiver does not accept samples this old: let it accept out-of-order samples " +
			"(Prometheus and Mimir: out_of_order_time_window), or lower spool.max_age"
		ahead = "the clock of this host or of the API is ahead: synchronize it"
		many  = "use fewer label values, or raise the receiver's limit for this tenant"
		label = "shorten or drop that label in the job, or raise the receiver's limit"
		large = "lower request.max_samples, or raise the receiver's limit"
		names = "rename the metric or label in the job or by write_relabel_configs: the receiver accepts letters, digits and underscores only"
		org   = "set headers: {X-Scope-OrgID: …} to your tenant"
		hist  = "let the receiver accept native histograms, or set native to false"
	)
	return []hintRule{
		// The error ids of Mimir, each explained in Mimir's runbook, and those of Grafana Cloud.
		{0, "err-mimir-sample-out-of-order", order},
		{0, "err-mimir-sample-duplicate-timestamp", order},
		{0, "err-mimir-sample-timestamp-too-old", old},
		{0, "err-mimir-too-far-in-past", old},
		{0, "err-mimir-too-far-in-future", ahead},
		{0, "err-mimir-max-series-per-", many},
		{0, "err-mimir-max-active-series", many},
		{0, "err-mimir-max-label-names-per-series", label},
		{0, "err-mimir-label-name-too-long", label},
		{0, "err-mimir-label-value-too-long", label},
		{0, "err-mimir-metric-name-invalid", names},
		{0, "err-mimir-label-invalid", names},
		{0, "err-mimir-distributor-max-write-", large},
		{0, "native-histogram", hist},
		// Prometheus, Thanos (409) and Cortex.
		{0, "native histograms are disabled", hist},
		{0, "out of order", order},
		{0, "duplicate sample for timestamp", order},
		{0, "too far in the future", ahead},
		{0, "out of bounds", old},
		{0, "too old", old},
		{0, "series limit", many},
		{0, "invalid metric name", names},
		{0, "invalid label", names},
		{0, "label value too long", label},
		{0, "no org id", org},
		{0, "enable-remote-write-receiver", "start Prometheus with --web.enable-remote-write-receiver"},
		// VictoriaMetrics.
		{0, "maxinsertrequestsize", large},
		// Status codes.
		{301, "", doFixURL},
		{302, "", doFixURL},
		{303, "", doFixURL},
		{307, "", doFixURL},
		{308, "", doFixURL},
		{401, "", "check basic_auth, authorization or oauth2"},
		{403, "", "these credentials may not write there: check their permissions and the tenant"},
		{404, "", doFixPath},
		{405, "", doFixPath},
		{413, "", large},
	}
}

// hint returns what to do about a response, or "" if that is not known.
func hint(code int, text string) string {
	text = strings.ToLower(text)
	for _, r := range hintRules() {
		if r.words != "" && strings.Contains(text, r.words) || r.words == "" && r.code == code {
			return r.do
		}
	}
	return ""
}
