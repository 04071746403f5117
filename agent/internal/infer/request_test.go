package infer

import "testing"

func TestSecretParameter(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"appid", "730"}: false, {"id", "12"}: false, {"metricKeys", "a,b"}: false, {"page_token", "x"}: false,
		{"appid", "f00dbabe"}: true, {"api_key", "4829137"}: true, {"key", "482913"}: true, {"access_key_id", "1234567"}: true, {"k", "12"}: true,
	} {
		if got := isSecretParameter(pair[0], pair[1]); got != want {
			t.Errorf("%s=%s: %t", pair[0], pair[1], got)
		}
	}
}
