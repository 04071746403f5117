package convert_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/convert"
)

// point is a metric as Telegraf has it between processors.
type point struct {
	tags   map[string]string
	fields map[string]any // float64 or string
}

// rule is a random rule of a processor: its configuration, and what Telegraf's processor does with a point.
type rule struct {
	config string
	apply  func(point)
}

// randomRules makes rules of processors for the tags and fields of [randomItem].
type randomRules struct{ *rand.Rand }

func (r randomRules) one(all ...string) string { return all[r.IntN(len(all))] }

func (r randomRules) tag() string { return r.one("a", "b", "c", "d") }

func (r randomRules) field() string { return r.one("temp", "hum", "state", "mode", "more") }

// rule returns a random rule. Each rule is in a processor of its own, except for mappings.
func (r randomRules) rule() rule {
	switch r.IntN(7) {
	case 0:
		return r.rename()
	case 1, 2:
		return r.enum()
	case 3:
		return r.regex()
	case 4:
		return r.letterCase()
	case 5:
		return r.converter()
	}
	name, value := r.tag(), r.one("x", "y", "")
	return rule{fmt.Sprintf("[[processors.override]]\n[processors.override.tags]\n%s = %q\n", name, value), func(p point) { p.tags[name] = value }}
}

func (r randomRules) rename() rule {
	kind, from, to := "tag", r.tag(), r.tag()
	if r.IntN(2) == 0 {
		kind, from, to = "field", r.field(), r.field()
	}
	return rule{fmt.Sprintf("[[processors.rename]]\n[[processors.rename.replace]]\n%s = %q\ndest = %q\n", kind, from, to), func(p point) {
		if v, ok := p.tags[from]; ok && kind == "tag" {
			delete(p.tags, from)
			p.tags[to] = v
		}
		if v, ok := p.fields[from]; ok && kind == "field" {
			delete(p.fields, from)
			p.fields[to] = v
		}
	}}
}

func (r randomRules) converter() rule {
	kind, name := r.one("tag", "integer", "unsigned", "float"), r.field()
	return rule{fmt.Sprintf("[[processors.converter]]\n[processors.converter.fields]\n%s = [%q]\n", kind, name), func(p point) {
		old, ok := p.fields[name]
		if !ok {
			return
		}
		delete(p.fields, name)
		number, isNumber := old.(float64)
		if kind == "tag" {
			p.tags[name] = fmt.Sprint(old)
			return
		}
		if !isNumber {
			var err error
			if number, err = strconv.ParseFloat(old.(string), 64); err != nil {
				return // Telegraf removes what it cannot convert
			}
		}
		switch kind {
		case "unsigned":
			number = math.Max(0, math.Round(number))
		case "integer":
			number = math.Round(number)
		}
		p.fields[name] = number
	}}
}

func (r randomRules) enum() rule {
	config := "[[processors.enum]]\n"
	var all []func(p, results point)
	for range 1 + r.IntN(3) {
		kind, from, to := "tag", r.tag(), r.tag()
		if r.IntN(2) == 0 {
			kind, from, to = "field", r.field(), r.field()
		}
		dest, values, table := r.IntN(2) == 0, map[string]any{}, ""
		for range 1 + r.IntN(2) {
			key, value := r.one("x", "y", "", "1", "2"), r.one("u", "v", "x", "")
			if kind == "tag" {
				values[key] = value
			} else {
				values[key] = float64(r.IntN(3))
			}
		}
		for k, v := range values {
			table += fmt.Sprintf("%q = %#v\n", k, v)
		}
		config += fmt.Sprintf("[[processors.enum.mapping]]\n%s = %q\n", kind, from)
		if dest {
			config += fmt.Sprintf("dest = %q\n", to)
		} else {
			to = from
		}
		var fallback any
		if r.IntN(3) == 0 {
			fallback = map[bool]any{true: "e", false: 7.0}[kind == "tag"]
			config += fmt.Sprintf("default = %#v\n", fallback)
		}
		config += "[processors.enum.mapping.value_mappings]\n" + table
		all = append(all, func(p, results point) {
			old, ok := any(p.tags[from]), false
			if _, ok = p.tags[from]; kind == "field" {
				old, ok = p.fields[from]
			}
			if f, number := old.(float64); number {
				old = strconv.FormatFloat(f, 'f', -1, 64)
			}
			v, found := values[fmt.Sprint(old)]
			if !found {
				v = fallback
			}
			switch {
			case !ok || v == nil:
			case kind == "tag":
				results.tags[to] = v.(string)
			default:
				results.fields[to] = v
			}
		})
	}
	return rule{config, func(p point) {
		results := point{map[string]string{}, map[string]any{}}
		for _, mapping := range all {
			mapping(p, results)
		}
		maps.Copy(p.tags, results.tags)
		maps.Copy(p.fields, results.fields)
	}}
}

func (r randomRules) regex() rule {
	key, pattern, replacement, dest := r.tag(), r.one("x", "^x$", "^$", "^.*$", "y*", "[^u]"), r.one("z", "yy", ""), r.one("", r.tag())
	config := fmt.Sprintf("[[processors.regex]]\n[[processors.regex.tags]]\nkey = %q\npattern = %q\nreplacement = %q\nresult_key = %q\n", key, pattern, replacement, dest)
	re := regexp.MustCompile(pattern)
	if dest == "" {
		dest = key
	}
	return rule{config, func(p point) {
		if v, ok := p.tags[key]; ok && re.MatchString(v) {
			p.tags[dest] = re.ReplaceAllString(v, replacement)
		}
	}}
}

func (r randomRules) letterCase() rule {
	kind, tag, dest := r.one("lowercase", "uppercase"), r.tag(), r.one("", r.tag())
	config := fmt.Sprintf("[[processors.strings]]\n[[processors.strings.%s]]\ntag = %q\ndest = %q\n", kind, tag, dest)
	if dest == "" {
		dest = tag
	}
	return rule{config, func(p point) {
		if v, ok := p.tags[tag]; ok {
			p.tags[dest] = map[string]func(string) string{"lowercase": strings.ToLower, "uppercase": strings.ToUpper}[kind](v)
		}
	}}
}

// randomItem returns an item with some of the tags and fields. The rules do not change its tag "id".
func (r randomRules) randomItem(id int) map[string]any {
	item := map[string]any{"id": strconv.Itoa(id)}
	for _, k := range []string{"a", "b", "c"} {
		if v := r.one("missing", "", "x", "y", "xy", "yxxy"); v != "missing" {
			item[k] = v
		}
	}
	for _, k := range []string{"temp", "hum"} {
		if r.IntN(4) > 0 {
			item[k] = float64(r.IntN(8)-2) / 2
		}
	}
	for _, k := range []string{"state", "mode"} {
		if r.IntN(4) > 0 {
			item[k] = r.one("x", "y", "other", "1")
		}
	}
	return item
}

// expected returns the series that Telegraf has for items after the rules.
func expected(items []map[string]any, constant map[string]string, rules []rule) []string {
	var all []string
	for _, item := range items {
		p := point{maps.Clone(constant), map[string]any{}}
		for k, v := range item {
			if text, ok := v.(string); ok && len(k) <= 2 {
				p.tags[k] = text
			} else {
				p.fields[k] = v
			}
		}
		if len(p.fields) == 0 {
			continue
		}
		for _, r := range rules {
			r.apply(p)
		}
		for name, v := range p.fields {
			if number, ok := v.(float64); ok {
				all = append(all, "room_"+name+shown(p.tags)+" "+strconv.FormatFloat(number, 'g', -1, 64))
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestRules checks that rules of processors have the effect that they have in Telegraf, for random rules and random data.
func TestRules(t *testing.T) {
	const head = "[agent]\nomit_hostname = true\n[[inputs.file]]\nfiles = [\"rooms.json\"]\nname_override = \"room\"\ntag_keys = [\"a\", \"b\", \"c\", \"id\"]\n" +
		"json_string_fields = [\"state\", \"mode\"]\ndata_format = \"json\"\n[inputs.file.tags]\nc = \"x\"\nd = \"y\"\n[[outputs.prometheus_client]]\nstring_as_label = false\n"
	complete := 0
	for seed := range uint64(150) {
		r := randomRules{rand.New(rand.NewPCG(seed, 1))}
		var rules []rule
		config := head
		for range 1 + r.IntN(4) {
			rules = append(rules, r.rule())
			config += rules[len(rules)-1].config
		}
		var items []map[string]any
		for id := range 12 {
			items = append(items, r.randomItem(id))
		}
		text, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "rooms.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		o := convert.Options{Catalogue: agent.Catalogue(), Answers: map[string][]byte{"room": text}, Files: convert.Files{Dir: dir}}
		result, err := convert.Convert([]convert.File{{Name: "telegraf.conf", Text: []byte(config)}}, o)
		if err != nil {
			t.Fatal(err)
		}
		if result.Lost > 0 { // a comment names what is different
			continue
		}
		complete++
		e := example{dir: dir, options: o}
		want := expected(items, map[string]string{"c": "x", "d": "y"}, rules)
		if diff := cmp.Diff(want, e.series(t, result.YAML)); diff != "" {
			t.Errorf("seed %d: - wanted, + got:\n%s\nof\n%s\nwith\n%s\nfrom\n%s", seed, diff, text, result.YAML, config)
			return
		}
	}
	t.Logf("%d configurations were converted completely", complete)
	if complete < 100 {
		t.Errorf("%d configurations were converted completely, want at least 100", complete)
	}
}
