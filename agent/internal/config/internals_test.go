package config

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestClosest(t *testing.T) {
	known := []string{"listen", "path", "job_label", "web_config_file"}
	for name, want := range map[string]string{
		"lisen": "listen", "listne": "listen", "Listen": "listen", "pth": "path", "joblabel": "job_label",
		"x": "", "schedule": "", "": "", strings.Repeat("listen", 20): "",
	} {
		if got := Closest(name, known); got != want {
			t.Errorf("%q means %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xbc", 1}, {"kitten", "sitting", 3}} {
		if got, back := Distance(c.a, c.b), Distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q and %q: %d and %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	line, caret := excerpt("\t\tabc: välue", 8)
	if line != "\t\tabc: välue" || caret != "\t\t     ^" {
		t.Errorf("got %q %q", line, caret)
	}
	long := strings.Repeat("a", 500) + "X" + strings.Repeat("b", 500)
	line, caret = excerpt(long, 501)
	if len(line) != maxExcerpt || line[len(caret)-1] != 'X' {
		t.Errorf("got %q\n%q", line, caret)
	}
	if line, caret = excerpt("ab", 9); line != "ab" || caret != "  ^" {
		t.Errorf("beyond the end: %q %q", line, caret)
	}
	if line, _ = excerpt("a\x1b[31mb", 1); line != "a?[31mb" {
		t.Errorf("control characters: %q", line)
	}
}

func TestHideSecrets(t *testing.T) {
	for line, want := range map[string]string{
		`password: hunter2`:                     `password: *******`,
		`{username: me, password: "a b", x: 1}`: `{username: me, password: *****, x: 1}`,
		`X-Api-Key: 'abc'`:                      `X-Api-Key: *****`,
		`client_secret: s3cret # the old one`:   `client_secret: ****** # the old one`,
		`url: https://u:p@host/path`:            `url: https://***@host/path`,
		`password: "env:PASS"`:                  `password: "env:PASS"`,
		`credentials: file:/run/token`:          `credentials: file:/run/token`,
		`password_file: /run/secret`:            `password_file: /run/secret`,
		`schedule: "@every 60s"`:                `schedule: "@every 60s"`,
		`url: "bob:pw@host:9091/a"`:             `url: "******@host:9091/a"`,
		`value: .a | @base64, ops@a.example`:    `value: .a | @base64, ops@a.example`,
		`value: '{a:.b|@text}'`:                 `value: '{a:.b|@text}'`,
		`url: https://host/a@b`:                 `url: https://host/a@b`,
		`{url: "http://x/?api_key=h8&b=1", headers: {Authorization: "Bearer h9", Cookie: a=b; c}}`: `{url: "http://x/?api_key=**&b=*", headers: {Authorization: ***********, Cookie: ******}}`,
		`basic_auth: {username: me}`:              `basic_auth: {username: me}`,
		`{"api_key":"k","b":1,"token" :"t"}`:      `{"api_key":***,"b":1,"token" :***}`,
		`"api_key": "k", "password": "p", "b": 1`: `"api_key": ***, "password": ***, "b": 1`,
	} {
		if got := hideSecrets(line); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

// TestSurrogates checks that surrogate pairs of JSON are read, and that an escaped backslash does not begin one.
func TestSurrogates(t *testing.T) {
	for text, want := range map[string]string{
		`"\ud83d\ude00"`:                "\U0001F600",
		`"a\uD83D\uDE00\\ud83d\\ude00"`: "a\U0001F600" + `\ud83d\ude00`,
		`"\\\ud83d\ude00\u00e9"`:        `\` + "\U0001F600é",
	} {
		doc, err := Parse("f.json", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if doc.Root.Value != want {
			t.Errorf("%s is read as %q, want %q", text, doc.Root.Value, want)
		}
	}
	for _, text := range []string{`"\ud83d"`, `"\ude00\ud83d"`, `"\\ud83d\ude00"`} {
		if _, err := Parse("f.json", []byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestFind(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Load([]byte("a:\n  b.c: {d: [1, {e: 2}]}\n  f: &x {g: 3}\n  h: *x\n"), &doc); err != nil {
		t.Fatal(err)
	}
	root := doc.Content[0]
	for path, want := range map[string][2]int{
		"a.b.c.d.0":    {2, 13},
		"a.b.c.d.1.e":  {2, 20},
		"a.f.g":        {3, 13},
		"a.h.g":        {3, 13}, // where the alias leads
		"a.b.c.nosuch": {2, 3},
		"a.nosuch.x":   {1, 1},
	} {
		if n := find(root, path); n.Line != want[0] || n.Column != want[1] {
			t.Errorf("%s is at %d:%d, want %v", path, n.Line, n.Column, want)
		}
	}
	if path, _, ok := pathTo(&doc, 2, 20); path != "a.b.c.d.1.e" || !ok {
		t.Errorf("2:20 is %s, %v", path, ok)
	}
	if path := settingPath(&doc, 2, 17); path != "a.b.c.d.1.e" {
		t.Errorf("the key at 2:17 is %s", path)
	}
	if _, _, ok := pathTo(&doc, 9, 9); ok {
		t.Error("a node was found at 9:9")
	}
}

func TestFingerprint(t *testing.T) {
	print := func(text string) string {
		var doc yaml.Node
		if err := yaml.Load([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		return fingerprint(&doc)
	}
	same := print("{a: 1, b: [x, 'y']}")
	if print("a: 1 # of course\nb:\n  - x\n  - \"y\"\n") != same {
		t.Error("layout or comments change the fingerprint")
	}
	for _, other := range []string{"{a: 1, b: [x]}", "{a: '1', b: [x, y]}", "{b: [x, y], a: 1}", "{a: 1, b: [xy]}"} {
		if print(other) == same {
			t.Errorf("%s has the same fingerprint", other)
		}
	}
}

// TestFingerprintOfAliases checks that nested aliases cost little time and memory, and that the fingerprint depends on
// what they stand for.
func TestFingerprintOfAliases(t *testing.T) {
	text := "a0: &a0 [x]\n"
	for i := range 30 {
		text += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	var doc, other yaml.Node
	if err := yaml.Load([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load([]byte(strings.Replace(text, "[x]", "[y]", 1)), &other); err != nil {
		t.Fatal(err)
	}
	last := doc.Content[0].Content[61]
	if n := len(fingerprint(last)); n > 10_000 {
		t.Errorf("%d bytes", n)
	}
	if fingerprint(last) == fingerprint(other.Content[0].Content[61]) {
		t.Error("what an alias stands for does not change the fingerprint")
	}
	loop := &yaml.Node{Kind: yaml.SequenceNode}
	loop.Content = []*yaml.Node{{Kind: yaml.AliasNode, Alias: loop}}
	fingerprint(loop)
}

func TestApart(t *testing.T) {
	one := func(labels string, constant ...string) declared {
		d := declared{job: &Job{}, name: "m", constant: map[string]string{}, labels: strings.Fields(labels)}
		for i := 0; i < len(constant); i += 2 {
			d.constant[constant[i]] = constant[i+1]
		}
		return d
	}
	for _, c := range []struct {
		a, b  declared
		clash bool
	}{
		{one("team"), one("team"), true},
		{one("team"), one("stack"), true}, // both may be empty
		{one("", "site", "a"), one("", "site", "b"), false},
		{one("", "site", "a"), one("", "site", "a"), true},
		{one("", "site", "a"), one(""), false},
		{one("", "site", "a"), one("site"), true},
		{one("", "site", "a", "x", "1"), one("site", "x", "2"), false},
	} {
		if text, _ := clash(&c.a, &c.b, "page"); (text != "") != c.clash {
			t.Errorf("%+v and %+v clash: %q, want %v", c.a, c.b, text, c.clash)
		}
		if text, _ := clash(&c.a, &c.b, ""); text != "" {
			t.Errorf("%+v and %+v clash on a page with job labels", c.a, c.b)
		}
	}
}

// TestExpandBound checks that the expansion of aliases ends at its bound, also for an alias that contains itself.
func TestExpandBound(t *testing.T) {
	for _, text := range []string{"[a, b, c, d, e, f]", "&a [*a]"} {
		f, err := Parse("cton.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		e := &expander{left: 5}
		if e.expand(f.Root, "", false, 0); e.left >= 0 {
			t.Errorf("%s: the bound of 5 values was not reached", text)
		}
	}
}

// TestClashes checks that clashes between declarations are found although not all pairs of declarations are compared.
func TestClashes(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 1))
	one := func(of ...string) string { return of[dice.IntN(len(of))] }
	all := []Sink{{Name: "page"}, {Name: "rw"}}
	clashes := 0
	for range 3000 {
		var before []*declared
		same := &namesakes{byKey: map[string]*alike{}}
		job := &Job{}
		for range 1 + dice.IntN(6) {
			if dice.IntN(2) == 0 {
				job = &Job{}
				if dice.IntN(2) == 0 {
					job.Sinks = []string{one("page", "rw")}
				}
			}
			d := &declared{job: job, name: one("a", "a", "a", "b"), series: "a", kind: one("gauge", "gauge", "gauge", "counter"), constant: map[string]string{}}
			for _, l := range []string{"x", "y"} {
				if dice.IntN(2) == 0 {
					d.constant[l] = one("1", "2", "3")
				} else if dice.IntN(2) == 0 {
					d.labels = append(d.labels, l)
				}
			}
			want := slices.ContainsFunc(before, func(other *declared) bool {
				text, _ := clash(d, other, page(job, other.job, []string{"page"}))
				return (other.job != job || other.name != d.name) && meet(job, other.job, all) && text != ""
			})
			if text, _ := same.clash(d, all, []string{"page"}); (text != "") != want {
				t.Fatalf("%+v clashes: %q, want %t", d, text, want)
			} else if want {
				clashes++
			}
			before = append(before, d)
			same.add(d)
		}
	}
	if clashes < 1000 {
		t.Errorf("only %d clashes", clashes)
	}
}
