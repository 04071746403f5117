package format

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/document"
)

// root returns the document, or nil if the text is refused.
func root(t *testing.T, d *Decoder, text []byte) *document.Value {
	doc, err := d.Decode(context.Background(), "x", "", text)
	if err != nil {
		if message := err.Error(); len(message) > 500 || strings.ContainsAny(message, "\n\x1b") {
			t.Errorf("not one short line: %q", message)
		}
		t.Logf("refused: %s", err)
		return nil
	}
	if raw := string(doc.Root.AppendJSON(nil, math.MaxInt)); !json.Valid([]byte(raw)) {
		t.Errorf("not JSON: %q", raw)
	}
	return &doc.Root
}

// FuzzCSV compares tables with those of encoding/csv: both accept the same texts, with the same cells. Only ours refuses carriage returns
// inside names, and inside the cells of a table of one column, without quotes.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"x\"\"y\nz\"\r\n", "\r\n\ra,b\r", "#c\n1,\"", "\"a\",b\n\"\",\n", "a\"b", "\"a\"b", "a,b\n\r\n1", "\"\r\n\"\n"} {
		f.Add([]byte(s))
	}
	d := decoder(f, "{format: csv, csv: {comment: '#'}}")
	f.Fuzz(func(t *testing.T, text []byte) {
		got := root(t, d, text)
		if text = withNewlines(text); got == nil && bytes.Contains(bytes.ReplaceAll(text, []byte("\r\n"), nil), []byte("\r")) {
			return
		}
		r := csv.NewReader(bytes.NewReader(text))
		r.Comment = '#'
		want, wantErr := r.ReadAll()
		if got == nil || wantErr != nil || len(want) == 0 {
			// Ours also refuses tables without a name, duplicate names, and HTML pages.
			named := false
			if len(want) > 0 {
				names := slices.DeleteFunc(slices.Sorted(slices.Values(want[0])), func(name string) bool { return name == "" })
				named = len(names) > 0 && len(slices.Compact(slices.Clone(names))) == len(names)
			}
			if (got != nil) != (wantErr == nil && named) && !isPage(text) {
				t.Errorf("%q: got %v, want %q, %v", text, got, want, wantErr)
			}
			return
		}
		at := 1
		for row := range got.Items {
			for i, name := range want[0] {
				if name == "" {
					continue
				}
				// encoding/csv normalizes line breaks in quotes.
				if cell := strings.ReplaceAll(row.Get(name).Text(), "\r\n", "\n"); cell != want[at][i] && !strings.Contains(name, "\n") {
					t.Errorf("%q: row %d has %q, want %q", text, at, cell, want[at][i])
				}
			}
			at++
		}
		if at != len(want) {
			t.Errorf("%q: %d rows, want %d", text, at, len(want))
		}
	})
}

// FuzzTrimmedCSV checks that trimmed cells have no spaces around them, and that any number of lines can be skipped.
func FuzzTrimmedCSV(f *testing.F) {
	f.Add([]byte("x\na , b,\n \"1\" ,2,\n"))
	f.Add([]byte("\"\n a\t\n\t\" \"\"\" \n"))
	d := decoder(f, "{format: csv, csv: {trim: true, skip_lines: 1}}")
	f.Fuzz(func(t *testing.T, text []byte) {
		got := root(t, d, text)
		if got == nil {
			return
		}
		for row := range got.Items {
			for name, cell := range row.Members {
				if name == "" || strings.Trim(name, " \t") != name || strings.Trim(cell.Text(), " \t") != cell.Text() {
					t.Errorf("%q: %q is %q", text, name, cell.Text())
				}
			}
		}
	})
}

// FuzzKeyValues checks that each key and value is in the text, and that each key comes once.
func FuzzKeyValues(f *testing.F) {
	for _, s := range []string{"a=1\n\nb='x'\r\n#c\n", "=\n", "a=\"", "a:=1\na=2\n", "\n\na=b=c"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, blocks bool) {
		set := Defaults()
		set.Format, set.KeyValue.Blocks = KeyValues, blocks
		got := root(t, set.Decoder(nil), text)
		if got == nil {
			return
		}
		objects := []document.Value{*got}
		if blocks {
			objects = slices.Collect(got.Items)
		}
		for _, o := range objects {
			seen := map[string]bool{}
			for key, value := range o.Members {
				if utf8.Valid(text) && (seen[key] || key == "" || !strings.Contains(string(text), key) || !strings.Contains(string(text), value.Text())) {
					t.Errorf("%q: %q is %q", text, key, value.Text())
				}
				seen[key] = true
			}
		}
	})
}

// FuzzInflux writes a document of points as line protocol, and checks that reading the text gives the same document again.
func FuzzInflux(f *testing.F) {
	for _, s := range []string{"m,t=v f=1i 1\n", `m\ \,,a\==b\  c="x\"\\",d=t`, "# x\n\nm f=-1e5,g=\"\n\"", "m f=1", "m\\,a=b f=1"} {
		f.Add([]byte(s))
	}
	d := decoder(f, "format: influx")
	again := decoder(f, "format: influx")
	f.Fuzz(func(t *testing.T, text []byte) {
		got := root(t, d, text)
		if got == nil || !utf8.Valid(text) || bytes.Contains(text, []byte(`\`)) || bytes.ContainsAny(text, "\r\t") {
			return
		}
		written := protocol(*got)
		back := root(t, again, []byte(written))
		if back == nil || back.Raw() != got.Raw() {
			t.Errorf("%q: got %v, written as %q: %v", text, got, written, back)
		}
	})
}

// protocol writes points as line protocol.
func protocol(list document.Value) string {
	name := strings.NewReplacer(" ", `\ `, ",", `\,`, "=", `\=`).Replace
	var b strings.Builder
	for point := range list.Items {
		measurement := name(point.Get("measurement").Text())
		b.WriteString(measurement)
		for key, value := range point.Get("tags").Members {
			b.WriteString("," + name(key) + "=" + name(value.Text()))
		}
		separator := " "
		for key, value := range point.Get("fields").Members {
			text := value.Raw()
			if value.Kind() == document.String {
				text = `"` + value.Text() + `"`
			}
			b.WriteString(separator + name(key) + "=" + text)
			separator = ","
		}
		if at := point.Get("timestamp"); at.Kind() != document.Null {
			b.WriteString(" " + at.Raw())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// FuzzPlainXML compares what the type plain reads of a document with what encoding/xml reads.
func FuzzPlainXML(f *testing.F) {
	for _, s := range []string{
		`<a b="1"><c>x</c><c/>y</a>`, `<m:a xmlns:m="u"><a/><n:a n:b="1"/></m:a>`, `<a>&lt;&amp;<!--c--></a>`, `<?xml version='1.0' encoding="latin1"?> <a> </a >`,
		`<a ]>b</a>`, `<a>]]></a>`, `<a>]]&gt;</a>`, `<a b='"' c = "&quot;"/>`, `<a b="1"c="<"/>`, "<a>\r</a>", "<a>\x01</a>", `<a:b:c/>`, `<1/>`, `<a:1/>`, `<a></b>`, `<a/><b/>`,
		`<a>1&amp</a>`, `<a b='1&lt'/>`, `<a>x&apos</a>`,
	} {
		f.Add([]byte(s))
	}
	d := decoder(f, "{format: xml, xml: {lists: [c]}}")
	f.Fuzz(func(t *testing.T, text []byte) {
		document := func(read func(*elements) bool) (string, bool) {
			x := d.elements(text)
			if !read(x) || x.build() != nil {
				return "", false
			}
			v, err := d.built.Value()
			return string(v.AppendJSON(nil, math.MaxInt)), err == nil
		}
		got, ok := document(func(x *elements) bool { return x.readPlain(text) })
		want, wellFormed := document(func(x *elements) bool { return x.read(text) == nil })
		if ok && (!wellFormed || got != want) {
			t.Errorf("read as %s, want %s, %v", got, want, wellFormed)
		}
	})
}

// TestPlainXML checks which documents are read without encoding/xml.
func TestPlainXML(t *testing.T) {
	d := decoder(t, "format: xml")
	for text, want := range map[string]bool{
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c -->\n<a xmlns=\"u\"><m:b c='1'>x &amp; y</m:b><d/></a>\n": true,
		"<a>é</a>": true, "<é/>": false, "<a>\r\n</a>": false, "<a><![CDATA[x]]></a>": false, "<!DOCTYPE a><a/>": false, "<a>&#65;</a>": false, "<a>&b;</a>": false,
		"<a><?p?></a>": false, "<a><!-- -- --></a>": false, "<a></b>": false, "<a b>": false, "<a>\xff</a>": false, "<a>\uFFFF</a>": false, "<a b='<'/>": false, "x<a/>": false,
	} {
		if got := d.elements([]byte(text)).readPlain([]byte(text)); got != want {
			t.Errorf("%q: read %v, want %v", text, got, want)
		}
	}
}

// FuzzXML compares the elements, attributes and texts with those of encoding/xml.
func FuzzXML(f *testing.F) {
	for _, s := range []string{`<a b="1"><c>x</c><c/>y</a>`, `<m:a xmlns:m="u"><a/><n:a n:b="1"/></m:a>`, `<a l:="u" :m="v"/>`, `<a>&lt;<![CDATA[x]]><!--c--></a>`, `<!DOCTYPE a><a/>`, `<?xml version="1.0"?><a><b><b/></b></a>`} {
		f.Add([]byte(s))
	}
	d := decoder(f, "{format: xml, xml: {lists: [c]}}")
	f.Fuzz(func(t *testing.T, text []byte) {
		got := root(t, d, text)
		if got == nil {
			return
		}
		var want, have []string
		var open []*strings.Builder
		r := xml.NewDecoder(bytes.NewReader(text))
		r.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
		for {
			token, err := r.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q is taken, but %v", text, err)
			}
			switch token := token.(type) {
			case xml.StartElement:
				open = append(open, &strings.Builder{})
				want = append(want, token.Name.Local+"=")
				for _, a := range token.Attr {
					if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
						want = append(want, "@"+a.Name.Local+"="+strings.TrimSpace(a.Value))
					}
				}
			case xml.CharData:
				if len(open) > 0 {
					open[len(open)-1].Write(token)
				}
			case xml.EndElement:
				if s := strings.TrimSpace(open[len(open)-1].String()); s != "" {
					want = append(want, "#text="+s)
				}
				open = open[:len(open)-1]
			}
		}
		flatten(*got, "", &have)
		slices.Sort(want)
		slices.Sort(have)
		if !strings.Contains(string(text), "xmlns") && !slices.Equal(have, want) {
			t.Errorf("%q:\ngot  %q\nwant %q", text, have, want)
		}
	})
}

// flatten lists the values of an XML document. The items of a list have the name of the list.
func flatten(v document.Value, name string, into *[]string) {
	prefix, local, _ := strings.Cut(strings.TrimPrefix(name, "@"), ":")
	switch {
	case prefix == "" || local == "": // a colon at one end belongs to the name, as in encoding/xml
		local = name
	case name[0] == '@':
		local = "@" + local
	}
	switch {
	case v.Kind() == document.Array:
		for item := range v.Items {
			flatten(item, name, into)
		}
		return
	case name != "" && (name[0] == '@' || name[0] == '#'):
		*into = append(*into, local+"="+v.Text())
		return
	case name != "":
		*into = append(*into, local+"=")
	}
	if v.Kind() == document.String {
		*into = append(*into, "#text="+v.Text())
	}
	for key, member := range v.Members {
		flatten(member, key, into)
	}
}

// FuzzYAML compares documents with those of the YAML library.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{"a: [1, 0x1F, .5, ~]\nb: {c: '1'}\n", "- &x 1\n- *x\n", "a: |\n  t\n", "1: 2\n", "- 1_0\n- 0o7\n- -.inf\n- 2026-01-01\n", "? a\n: b\n", "!!float 1", "a: ! 2\nb: ! true", "- 010\n- 1e5\n- 123456789012345678901234567890\n"} {
		f.Add([]byte(s))
	}
	d := decoder(f, "format: yaml")
	old := regexp.MustCompile(`_|0[0-9bBoOxX]|[-+]\.|[nN][aA][nN]`)
	f.Fuzz(func(t *testing.T, text []byte) {
		got := root(t, d, text)
		var want any
		err := yaml.Load(text, &want)
		if got == nil || err != nil {
			return // the library refuses wrong tags, and converts dates; ours refuses what JSON does not have
		}
		if old.Match(text) {
			return // the library reads it as a number of YAML 1.1
		}
		if !isJSON(want) {
			return
		}
		if have, want := normal(got.JQ()), normal(want); !reflect.DeepEqual(have, want) {
			t.Errorf("%q:\ngot  %#v\nwant %#v", text, have, want)
		}
	})
}

// normal returns a value with floats for numbers, and strings for what JSON does not have.
func normal(v any) any {
	switch v := v.(type) {
	case nil, bool:
		return v
	case json.Number:
		n, _ := strconv.ParseFloat(string(v), 64)
		return n
	case float64:
		if v-v != 0 {
			return fmt.Sprint(v)
		}
		return v
	case int, int64, uint64:
		n, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
		return n
	case string:
		return v
	case []any:
		all := []any{}
		for _, item := range v {
			all = append(all, normal(item))
		}
		return all
	case map[string]any:
		all := map[string]any{}
		for key, item := range v {
			all[key] = normal(item)
		}
		return all
	}
	return nil
}

// isJSON reports whether a value has only types of JSON: no times, and only strings as keys.
func isJSON(v any) bool {
	switch v := v.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool { return !isJSON(item) })
	case map[string]any:
		return !slices.ContainsFunc(slices.Collect(maps.Values(v)), func(item any) bool { return !isJSON(item) })
	case nil, bool, float64, int, int64, uint64, string:
		return true
	}
	return false
}

// FuzzPrometheus checks that a text that Prometheus' own parser accepts is accepted here too, with the same samples.
func FuzzPrometheus(f *testing.F) {
	for _, s := range []string{
		"# HELP a b\n# TYPE a counter\na{b=\"c\",} 1 5\n", "{\"a.b\",c=\"d\"} NaN\n", "a{b=\"\\\"\\n\\\\\"} 1e-5\n", "a\t1\n\n#\n# x\nb +Inf\n", "a{} 0x1p3\n", "# TYPE \"x y\" gauge\n", "# HELP a b\n# TYPE", "#HELP ~\n",
	} {
		f.Add([]byte(s))
	}
	d := decoder(f, "format: prometheus")
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsAny(text, "\x00\v\f") {
			return // Prometheus takes a zero byte for the end of the text, and a TYPE line with \v or \f for a comment
		}
		var want []string
		p := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				root(t, d, text) // ours may accept it
				return
			}
			if entry != textparse.EntrySeries {
				continue
			}
			var set labels.Labels
			p.Labels(&set)
			_, at, value := p.Series()
			read := set.Map()
			read[model.MetricNameLabel] = strings.TrimSpace(read[model.MetricNameLabel]) // blanks after an empty comment
			want = append(want, sampleText(read, value, at))
		}
		got := root(t, d, text)
		if got == nil {
			t.Fatalf("%q is refused", text)
		}
		var have []string
		for s := range got.Items {
			set := map[string]string{model.MetricNameLabel: s.Get("name").Text()}
			for label, value := range s.Get("labels").Members {
				if set[label] = value.Text(); set[label] == "" {
					delete(set, label) // an empty label is an absent one
				}
			}
			value, _ := strconv.ParseFloat(s.Get("value").Text(), 64)
			var at *int64
			if stamp := s.Get("timestamp"); stamp.Kind() == document.Number {
				n, _ := strconv.ParseInt(stamp.Raw(), 10, 64)
				at = &n
			}
			have = append(have, sampleText(set, value, at))
		}
		if !slices.Equal(have, want) && !strings.Contains(string(text), model.MetricNameLabel) {
			t.Errorf("%q:\ngot  %q\nwant %q", text, have, want)
		}
	})
}

func sampleText(set map[string]string, value float64, at *int64) string {
	for name, v := range set {
		if v == "" {
			delete(set, name)
		}
	}
	stamp := ""
	if at != nil {
		stamp = strconv.FormatInt(*at, 10)
	}
	if math.IsNaN(value) {
		value = math.NaN() // Prometheus has several NaNs
	}
	return fmt.Sprint(set, value, stamp)
}

// FuzzText checks that the decoder finds as many matches of a pattern in a text as package regexp.
func FuzzText(f *testing.F) {
	f.Add(`(?m)^(?P<a>\w+) = (?P<b>\S+)$`, []byte("a = 1\n"))
	f.Add(`(?P<a>)`, []byte("\xffé"))
	f.Fuzz(func(t *testing.T, pattern string, text []byte) {
		var p Pattern
		if p.UnmarshalText([]byte(pattern)) != nil || p.Pattern == nil {
			return
		}
		s := Defaults()
		s.Format, s.Text.Pattern = PlainText, p
		if got := root(t, s.Decoder(nil), text); got != nil {
			n := 0
			for range got.Items {
				n++
			}
			if want := len(p.Regexp().FindAllIndex(text, -1)); n != want {
				t.Errorf("%q of %q: %d matches, want %d", pattern, text, n, want)
			}
		}
	})
}

// FuzzUTF8 checks that the result of a conversion is UTF-8.
func FuzzUTF8(f *testing.F) {
	f.Add("text/xml; charset=iso-8859-1", []byte("\xe9"))
	f.Add("", []byte("<?xml version='1.0' encoding='windows-1252'?>\x80"))
	f.Add("text/plain; charset=gb18030", []byte("\x94\x39\xfc"))
	f.Add("text/plain; charset=iso-2022-jp", []byte("\x1b$B<"))
	f.Add("text/plain; charset=utf-16", []byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		text, err := UTF8(contentType, body)
		if err == nil && !bytes.HasSuffix(body, text) && strings.ToValidUTF8(string(text), "") != string(text) {
			t.Errorf("%q %q: %q", contentType, body, text)
		}
	})
}
