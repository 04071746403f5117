package remotewrite

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	c := Kind.Defaults().(*Config)
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	return c, node.Load(c, yaml.WithKnownFields())
}

func TestExampleIsTheDefaults(t *testing.T) {
	got, err := load(t, Kind.Example)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	want := defaults()
	want.URL, want.Headers, want.WriteRelabel = got.URL, got.Headers, got.WriteRelabel
	if !reflect.DeepEqual(got, want) || len(got.Headers)+len(got.WriteRelabel) > 0 {
		t.Errorf("the example gives\n%+v\nthe defaults are\n%+v", got, want)
	}
}

func TestSettings(t *testing.T) {
	c, err := load(t, "{url: 'https://m/push', protocol: '2.0', basic_auth: {username: a, password: 'env:P'}, spool: {max_age: 7d, max_bytes: 2MiB, order: newest_first}, connections: 4}")
	if err != nil || c.Protocol != Protocol2 || c.Connections != 4 || c.Spool.MaxBytes != 2<<20 || c.Spool.MaxAge.String() != "7d" || c.Spool.Order.String() != "newest_first" || c.Web.BasicAuth == nil {
		t.Errorf("got %+v, %v", c, err)
	}
	if text, err := c.Protocol.MarshalText(); string(text) != "2.0" || err != nil {
		t.Errorf("2.0 is written as %q, %v", text, err)
	}
	if _, err := load(t, "protocol: 3"); err == nil || !strings.Contains(err.Error(), "want auto, 1.0 or 2.0") {
		t.Errorf("protocol 3: %v", err)
	}
}

func TestValidate(t *testing.T) {
	wrong := func(text string, want ...string) {
		t.Helper()
		c, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range setting.Problems(c.Validate()) {
			got = append(got, p.Error())
		}
		if len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("problem %d is %q, want %q…", i, got[i], want[i])
			}
		}
	}
	wrong("{}", "url: is required")
	wrong("{url: 'http://m', timeout: 0s, request: {max_samples: 0}, spool: {max_bytes: 0, max_age: 0s}, connections: 17}",
		"timeout: want more than 0", "request.max_samples: want", "spool.max_bytes: want", "spool.max_age: want", "connections: want 1 to 16")
	wrong("{url: 'http://m', headers: {content-type: a, 'a b': b, '': c, Authorization: d}}",
		"headers.: not a valid header name", "headers.a b: not", "headers.content-type: the protocol sets")
	wrong("{url: 'http://m', headers: {authorization: d}, basic_auth: {username: a, password: 'env:P'}}",
		"headers.authorization: another setting sets this header")
	wrong("{url: 'http://m', headers: {user-agent: custom/1}}", "headers.user-agent: the protocol sets this header: remove it")
}

func TestOnRefusal(t *testing.T) {
	for _, text := range []string{"auto", "drop", "search"} {
		c, err := load(t, "on_refusal: "+text)
		if got, _ := c.Refusals.MarshalText(); err != nil || string(got) != text {
			t.Errorf("%s is %s, %v", text, got, err)
		}
	}
	if _, err := load(t, "on_refusal: retry"); err == nil || !strings.Contains(err.Error(), "want auto, drop or search") {
		t.Errorf("retry: %v", err)
	}
}

// TestDestination checks which processes are allowed to send each other's samples: those with the same receiver and tenant.
func TestDestination(t *testing.T) {
	of := func(text string) string {
		t.Helper()
		c, err := load(t, text)
		if err != nil {
			t.Fatal(err)
		}
		return destination(c)
	}
	base := of("{url: 'https://m/push', basic_auth: {username: a, password: 'env:P'}}")
	for text, isSame := range map[string]bool{
		"{url: 'https://m/push', basic_auth: {username: a, password: 'env:Q'}}":                                true,
		"{url: 'https://m/push', basic_auth: {username: b, password: 'env:P'}}":                                false,
		"{url: 'https://m/push', digest_auth: {username: a, password: 'env:P'}}":                               false,
		"{url: 'https://other/push', basic_auth: {username: a, password: 'env:P'}}":                            false,
		"{url: 'https://m/push', basic_auth: {username: a, password: 'env:P'}, headers: {X-Scope-OrgID: ops}}": false,
	} {
		if got := of(text) == base; got != isSame {
			t.Errorf("%s: the same is %t, want %t", text, got, isSame)
		}
	}
}
