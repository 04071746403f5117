package remotewrite

import "strings"

// cure is what to do about a refusal whose text has these words (in lower case), or, without words, which has this code.
type cure struct {
	code  int
	words string
	do    string
}

// cures are tried in order. Of a request that they call bad, Mimir and Cortex keep the good samples, Prometheus does so in
// 2.0 and keeps nothing in 1.0, and VictoriaMetrics leaves out bad samples without a word.
func cures() []cure {
	const (
		order = "another sender writes the same series, or time went back: give each agent an instance label of its own"
		old   = "the receiver takes nothing this old: let it accept out-of-order samples " +
			"(Prometheus and Mimir: out_of_order_time_window), or lower spool.max_age"
		ahead = "the clock of this host or of the API is ahead: synchronise it"
		many  = "use fewer label values, or raise the receiver's limit for this tenant"
		label = "shorten or drop that label in the job, or raise the receiver's limit"
		large = "lower request.max_samples, or raise the receiver's limit"
		org   = "set headers: {X-Scope-OrgID: …} to your tenant"
		hist  = "let the receiver take native histograms, or set native to false"
	)
	return []cure{
		// Mimir's error ids (its runbook explains each) and Grafana Cloud's.
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
		{0, "label value too long", label},
		{0, "no org id", org},
		{0, "enable-remote-write-receiver", "start Prometheus with --web.enable-remote-write-receiver"},
		// VictoriaMetrics.
		{0, "maxinsertrequestsize", large},
		// What the code alone says.
		{301, "", redirected},
		{302, "", redirected},
		{303, "", redirected},
		{307, "", redirected},
		{308, "", redirected},
		{401, "", "check basic_auth, authorization or oauth2"},
		{403, "", "these credentials may not write there: check their rights and the tenant"},
		{404, "", notThere},
		{405, "", notThere},
		{413, "", large},
	}
}

const (
	redirected = "set url to the address that it redirects to"
	notThere   = "check the path of url: Prometheus has /api/v1/write, Mimir and Cortex /api/v1/push, " +
		"Thanos /api/v1/receive, VictoriaMetrics /api/v1/write"
)

// remedy is what to do about an answer, "" where nothing is known.
func remedy(code int, text string) string {
	text = strings.ToLower(text)
	for _, c := range cures() {
		if c.words != "" && strings.Contains(text, c.words) || c.words == "" && c.code == code {
			return c.do
		}
	}
	return ""
}
