package expose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

func TestExampleIsTheDefaults(t *testing.T) {
	got := &Config{}
	if err := yaml.Load([]byte(Kind.Example), got, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got); diff != "" {
		t.Errorf("-default +example:\n%s", diff)
	}
	if !strings.HasPrefix(Kind.Example, "# Serves a page") || !Kind.Pull {
		t.Error("Kind has wrong values")
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string // the setting, "" = fine
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Listen = "127.0.0.1:0" }, ""},
		{func(c *Config) { c.Listen = "[::1]:9100" }, ""},
		{func(c *Config) { c.Listen = "metrics.example.com:9100" }, ""},
		{func(c *Config) { c.Listen = "" }, "listen"},
		{func(c *Config) { c.Listen = "8000" }, "listen"},
		{func(c *Config) { c.Listen = ":http" }, "listen"},
		{func(c *Config) { c.Listen = ":65536" }, "listen"},
		{func(c *Config) { c.Listen = ":-1" }, "listen"},
		{func(c *Config) { c.Listen = "::1:8000" }, "listen"},
		{func(c *Config) { c.Path = "/" }, ""},
		{func(c *Config) { c.Path = "metrics" }, "path"},
		{func(c *Config) { c.Path = "" }, "path"},
		{func(c *Config) { c.Path = "/metrics?x=1" }, "path"},
		{func(c *Config) { c.Path = "/-/healthy" }, "path"},
		{func(c *Config) { c.JobLabel = "cton_job" }, ""},
		{func(c *Config) { c.JobLabel = "a-b" }, "job_label"},
		{func(c *Config) { c.JobLabel = "true" }, "job_label"},
		{func(c *Config) { c.JobLabel = "a:b" }, "job_label"},
		{func(c *Config) { c.JobLabel = "__name__" }, "job_label"},
		{func(c *Config) { c.JobLabel = "le" }, "job_label"},
		{func(c *Config) { c.JobLabel = "quantile" }, "job_label"},
		{func(c *Config) { c.Listen, c.Path, c.JobLabel = "x", "x", "-" }, "listen path job_label"},
	} {
		config := defaults()
		c.change(config)
		var paths []string
		for _, p := range setting.Problems(config.Validate()) {
			paths = append(paths, p.Path)
		}
		if got := strings.Join(paths, " "); got != c.want {
			t.Errorf("%+v: problems of %q, want %q", *config, got, c.want)
		}
	}
}

func TestClaims(t *testing.T) {
	for listen, want := range map[string]string{
		":8000": "the address :8000", "0.0.0.0:8000": "the address :8000", "[::]:8000": "the address :8000", ":08000": "the address :8000",
		"localhost:80": "the address 127.0.0.1:80", "127.0.0.1:80": "the address 127.0.0.1:80", "[::1]:80": "the address [::1]:80",
		":0": "", "odd": "",
	} {
		if got := strings.Join((&Config{Listen: listen}).Claims(), " "); got != want {
			t.Errorf("%s claims %q, want %q", listen, got, want)
		}
	}
	if !Kind.Merges(&Config{}) || Kind.Merges(&Config{JobLabel: "x"}) {
		t.Error("jobs are merged only without a job label")
	}
}
