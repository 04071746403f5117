package format

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// decoder returns the decoder of YAML settings.
func decoder(t testing.TB, settings string) *Decoder {
	t.Helper()
	s := Defaults()
	if err := yaml.Load([]byte(settings), &s, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", settings, err)
	}
	if err := s.Validate(); err != nil {
		t.Fatalf("%s: %v", settings, err)
	}
	return s.Decoder(nil)
}

// decoded returns the document as JSON, or the error.
func decoded(t testing.TB, d *Decoder, text string) string {
	t.Helper()
	doc, err := d.Decode(context.Background(), "GET http://a.example", "", []byte(text))
	if err != nil {
		if message := err.Error(); len(message) > 500 || strings.ContainsAny(message, "\n\x1b") {
			t.Errorf("not one short line: %q", message)
		}
		return err.Error()
	}
	raw := doc.Root.Raw()
	if doc.Root.Kind().String() != "a text" && !json.Valid([]byte(raw)) {
		t.Errorf("not JSON: %s", raw)
	}
	return raw
}

// example is a text in a format, and the document or error that comes from it.
type example struct{ settings, text, want string }

func check(t *testing.T, all []example) {
	t.Helper()
	for _, c := range all {
		d := decoder(t, c.settings)
		for range 2 { // a document does not affect the next one
			if got := decoded(t, d, c.text); got != c.want {
				t.Errorf("%s of %.60q:\ngot  %.400s\nwant %s", c.settings, c.text, got, c.want)
			}
			_ = decoded(t, d, `"`)
		}
	}
}

func TestTables(t *testing.T) {
	const quotes = ": a cell that contains quotes must be in quotes, with the inner ones doubled"
	check(t, []example{
		// RFC 4180 section 2.
		{"format: csv", "a,b\r\n1,2\r\n3,4\r\n", `[{"a":"1","b":"2"},{"a":"3","b":"4"}]`},
		{"format: csv", "a,b\n1,2", `[{"a":"1","b":"2"}]`},
		{"format: csv", "a,b\n\"b\r\nbb\",\"say \"\"x\"\"\"\n", `[{"a":"b\u000d\nbb","b":"say \"x\""}]`},
		{"format: csv", "a,b\n\"\",\"\"\"\"\r\n", `[{"a":"","b":"\""}]`},
		{"format: csv", "a,b\n 1, 2\n", `[{"a":" 1","b":" 2"}]`},
		{"format: csv", "a,b\n,\n", `[{"a":"","b":""}]`},
		{"format: csv", "a\n007\n1e5\n\n\r\n-0\n", `[{"a":"007"},{"a":"1e5"},{"a":"-0"}]`},
		{"format: csv", "a,b\n", `[]`},
		{"format: csv", "a,b", `[]`},
		{"format: csv", "\n\na\nx\r", `[{"a":"x"}]`},
		{"format: csv", "a,b\r1,2\r\r3,4\r", `[{"a":"1","b":"2"},{"a":"3","b":"4"}]`},
		{"format: tsv", "a\tb\r1\t2\r3\t4", `[{"a":"1","b":"2"},{"a":"3","b":"4"}]`},
		{"{format: csv, csv: {skip_lines: 1, comment: '#'}}", "x\ra\r#\r1\r", `[{"a":"1"}]`},
		{"format: csv", "a\r1\r2\r\n", `invalid CSV: line 1: a carriage return (\r) inside the cell "a\r1\r2": let all lines end with \n or with \r\n`},
		{"format: tsv", "a\n1\r2", `invalid TSV: line 2: a carriage return (\r) inside the cell "1\r2": let all lines end with \n or with \r\n`},
		{"format: tsv", "a\tb\n1\thi\rthere\n2\tx\ny\rz\t3\n", `[{"a":"1","b":"hi\u000dthere"},{"a":"2","b":"x"},{"a":"y\u000dz","b":"3"}]`},
		{"format: csv", "a,b\r\n1,hi\rthere\r\n", `[{"a":"1","b":"hi\u000dthere"}]`},
		{"format: csv", "a,b\n1,2\r3,4\n", "invalid CSV: line 2: has more cells than the 2 columns: a cell that contains the delimiter must be in quotes"},
		{"format: csv", "a,b\r1,2\r\n", `invalid CSV: line 1: a carriage return (\r) inside the cell "b\r1": let all lines end with \n or with \r\n`},
		{"{format: csv, csv: {header: false, columns: [a]}}", "1\r2\n", `invalid CSV: line 1: a carriage return (\r) inside the cell "1\r2": let all lines end with \n or with \r\n`},
		{"format: csv", "a\n\"1\r2\"\n", `[{"a":"1\u000d2"}]`},
		{"format: csv", "", "invalid CSV: is empty, want a first row with the names of the columns; for tables without one set csv.header: false and csv.columns"},
		{"format: csv", "a,,c,\n1,2,3,4\n", `[{"a":"1","c":"3"}]`},
		{"format: csv", ",\n", "invalid CSV: line 1: no column has a name: set csv.columns, or csv.skip_lines if the names are in a later line"},
		{"format: csv", "a,b,a\n", `invalid CSV: line 1: columns 1 and 3 have the same name "a": set csv.columns`},
		{"format: csv", "a,b\n\"1\n2\",3\n4\n", "invalid CSV: line 4: has 1 of 2 cells: is it cut short, or csv.delimiter wrong?"},
		{"format: csv", "a,b\n1,2,\n", "invalid CSV: line 2: has more cells than the 2 columns: a cell that contains the delimiter must be in quotes"},
		{"format: csv", "a,b\n1,\"2\n3\n", "invalid CSV: line 2: a quoted cell has no closing quote"},
		{"format: csv", "a\nx\"y\n", `invalid CSV: line 2: a quote inside the cell "x\"y\n"` + quotes},
		{"format: csv", "a\n\"x\"y\n", `invalid CSV: line 2: want the delimiter or the end of the line after a closing quote, got "y\n"`},
		{"format: csv", "a\n\"x\"\ry\n", `invalid CSV: line 2: want the delimiter or the end of the line after a closing quote, got "\ry\n"`},
		{"format: csv", " <HTML>", `want CSV, got an HTML page that begins with "<HTML>": is it a login or error page?`},
		{"format: csv", strings.Repeat(",", maxColumns), "invalid CSV: line 1: has more than 16384 columns"},
		{"{format: csv, csv: {columns: [x]}}", strings.Repeat(",", maxColumns), "invalid CSV: line 1: has more than 16384 columns"},

		{"{format: csv, csv: {header: false, columns: [x, y], delimiter: ;, comment: '#'}}", "#c;d;e\n1;2,5\n#\n", `[{"x":"1","y":"2,5"}]`},
		{"{format: csv, csv: {columns: [x, y]}}", "a,a\n1,2\n", `[{"x":"1","y":"2"}]`},
		{"{format: csv, csv: {columns: [x, y]}}", "a\n1\n", "invalid CSV: line 1: the header has 1 columns, csv.columns has 2"},
		{"{format: csv, csv: {header: false, columns: [x]}}", "", `[]`},
		{`{format: csv, csv: {delimiter: "\t"}}`, "a\tb\n\"1\t2\"\t3\n", `[{"a":"1\t2","b":"3"}]`},
		{"{format: csv, csv: {columns: [x, '', z]}}", "a,b,c\n1,2,3\n", `[{"x":"1","z":"3"}]`},
		{"{format: csv, csv: {skip_lines: 2}}", "version=1.0\n\"open\na,b\n1,2\n", `[{"a":"1","b":"2"}]`},
		{"{format: csv, csv: {skip_lines: 2}}", "a\n1,2", "invalid CSV: line 2: is the last line: want more than 2 lines (csv.skip_lines)"},
		{"{format: csv, csv: {skip_lines: 1}}", "x\na,b\n1\n", "invalid CSV: line 3: has 1 of 2 cells: is it cut short, or csv.delimiter wrong?"},
		{"{format: csv, csv: {trim: true}}", "a , b\t,c\r\n 1,\t\" 2 \" , x y \r\n", `[{"a":"1","b":"2","c":"x y"}]`},
		{"{format: csv, csv: {trim: true, delimiter: ' '}}", "a  c\n1 2 3\n", `[{"a":"1","c":"3"}]`},
		{"{format: tsv, csv: {trim: true}}", "a\tb\n 1\t\t", "invalid TSV: line 2: has more cells than the 2 columns: a cell that contains the delimiter must be in quotes"},
		{"format: tsv", "a\tb\n\"1\t2\"\n", `[{"a":"\"1","b":"2\""}]`},
	})
}

func TestXML(t *testing.T) {
	check(t, []example{
		{"format: xml", `<a/>`, `{"a":null}`},
		{"format: xml", `<a> </a>`, `{"a":null}`},
		{"format: xml", "<a>\n 5 </a>", `{"a":"5"}`},
		{"format: xml", `<a b=" 1 " c=''/>`, `{"a":{"@b":"1","@c":""}}`},
		{"format: xml", `<a><b>1</b><c/><b>2</b></a>`, `{"a":{"b":["1","2"],"c":null}}`},
		{"format: xml", `<a><b><b>1</b></b><b/></a>`, `{"a":{"b":[{"b":"1"},null]}}`},
		{"format: xml", `<a>x<b/>y<!-- z --><![CDATA[<z>]]>&#x41;&lt;</a>`, `{"a":{"b":null,"#text":"xy<z>A<"}}`},
		{"{format: xml, xml: {lists: [b, 'm:c']}}", `<a xmlns:m='u'><b>1</b><m:c/><c/></a>`, `{"a":{"b":["1"],"m:c":[null],"c":null}}`},
		// Namespaces in XML 1.0: prefixes stay if two names would become the same.
		{"format: xml", `<s:a xmlns:s="u" xmlns="v"><s:b x:c="1"/></s:a>`, `{"a":{"b":{"@c":"1"}}}`},
		{"format: xml", `<a><m:b/><b/><m:c d="1" m:d="2"/></a>`, `{"a":{"m:b":null,"b":null,"c":{"@d":"1","@m:d":"2"}}}`},
		{"format: xml", `<?xml version="1.0" encoding="koi8-r"?><!DOCTYPE a><a>x</a> `, `{"a":"x"}`},
		{"format: xml", ``, "invalid XML: is empty"},
		{"format: xml", `{"a": 1}`, `invalid XML: line 1: text outside the root element: "{\"a\": 1}": if it is JSON, set format: json`},
		{"format: xml", "<a>\n<b>\n</a>", "invalid XML: line 3: </a> closes <b>"},
		{"format: xml", `</a>`, "invalid XML: line 1: </a> has no start tag"},
		{"format: xml", `<a>`, "invalid XML: unexpected end: <a> is not closed"},
		{"format: xml", `<a`, `invalid XML: line 1: "unexpected EOF"`},
		{"format: xml", `<a/><b/>`, "invalid XML: line 1: has a second root element, <b>"},
		{"format: xml", `<a b="1" b="2"/>`, "invalid XML: line 1: duplicate attribute @b"},
		{"format: xml", `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `invalid XML: line 1: "invalid character entity &b;": only &amp; &lt; &gt; &quot; &apos; and numeric entities are supported`},
		{"format: xml", strings.Repeat("<a>", 301), "invalid XML: line 1: nested more than 300 deep"},
		{"format: xml", "<a>\xff</a>", `invalid XML: line 1: "invalid UTF-8"`},
	})
}

func TestYAML(t *testing.T) {
	check(t, []example{
		{"format: yaml", "a: [1, 0x1F, 0o17, 017, 08, 1_000, 0b1, 0x_1, -0x1, .5, 5., +7, -0, 1e3, 0.10, 123456789012345678901234567890]", `{"a":[1,31,15,17,8,"1_000","0b1","0x_1","-0x1",0.5,5,7,-0,1e3,0.10,123456789012345678901234567890]}`},
		{"format: yaml", "a: [true, FALSE, yes, ~, null, '', '1', .inf, -.Inf, .NaN, 2026-03-01, 2026-03-01T00:00:00Z, 1:30]", `{"a":[true,false,"yes",null,null,"","1","+Inf","-Inf","NaN","2026-03-01","2026-03-01T00:00:00Z","1:30"]}`},
		{"format: yaml", "- &x {a: 1}\n- *x\n- b: |\n    t\n    u\n", `[{"a":1},{"a":1},{"b":"t\nu\n"}]`},
		{"format: yaml", "1: a\ntrue: b\n", `{"1":"a","true":"b"}`},
		{"format: yaml", `{"a": [1, "é\u00e9"]}`, `{"a":[1,"éé"]}`},
		{"format: yaml", "!!str 5", `5`},
		{"format: yaml", "[!!int '7', !!str 7, ! 6, ! true, '8', \"9\", .inf, .iNF, Infinity, +.nan]", `[7,"7","6","true","8","9","+Inf",".iNF","Infinity","+.nan"]`},
		{"format: yaml", "[!!bool 'true', !!bool False, !!bool yes, !!bool 1, yes, off]", `[true,false,"yes","1","yes","off"]`},
		{"format: yaml", "# nothing\n", `null`},
		{"format: yaml", " ", `null`},
		{"format: yaml", "a: 1\nb: 2\na: 3\n", `invalid YAML: line 3: duplicate key "a"`},
		{"format: yaml", "a: 1\n---\nb: 2\n", `invalid YAML: line 2: has a second document: only one is supported`},
		{"format: yaml", "a: &a [*a]", `invalid YAML: nested more than 300 deep`},
		{"format: yaml", laughs("~", 6), `invalid YAML: its aliases expand to too much data`},
		{"format: yaml", laughs(strings.Repeat("x", 1000), 3), `invalid YAML: its aliases expand to too much data`},
		{"format: yaml", "a: *b", `invalid YAML: line 1: "unknown anchor 'b' referenced"`},
		{"format: yaml", "<<: {a: 1}", `invalid YAML: line 1: the merge key << is not supported: it is not part of YAML 1.2`},
		{"format: yaml", "[a]: 1", `invalid YAML: line 1: a key is a list or a mapping, want a scalar`},
		{"format: yaml", strings.Repeat("- ", 400), `invalid YAML: nested more than 300 deep`},
		{"format: yaml", strings.Repeat("-\n", maxMarks+1), `invalid YAML: has more than 90000 values, estimated from its punctuation: use JSON for a document of this size`},
	})
}

func TestPrometheusText(t *testing.T) {
	check(t, []example{
		{"format: prometheus", "", `[]`},
		{"format: prometheus", "# EOF\n\n# a comment\n  up 1\n", `[{"name":"up","type":"untyped","labels":{},"value":1}]`},
		{"format: prometheus", "# HELP a_total One \\\\ two\\nthree\n# TYPE a_total counter\na_total { b = \"1\\\"\\n\\\\\" , c=\"\", } 12345678901234567890 -5\r\n", `[{"name":"a_total","type":"counter","help":"One \\ two\nthree","labels":{"b":"1\"\n\\","c":""},"value":12345678901234567890,"timestamp":-5}]`},
		{"format: prometheus", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 1e-3\nh_other 1", `[{"name":"h_bucket","type":"histogram","labels":{"le":"+Inf"},"value":3},{"name":"h_sum","type":"histogram","labels":{},"value":1e-3},{"name":"h_other","type":"untyped","labels":{},"value":1}]`},
		{"format: prometheus", "a NaN\na -INF\na +Inf\na infinity\n", `[{"name":"a","type":"untyped","labels":{},"value":"NaN"},{"name":"a","type":"untyped","labels":{},"value":"-Inf"},{"name":"a","type":"untyped","labels":{},"value":"+Inf"},{"name":"a","type":"untyped","labels":{},"value":"+Inf"}]`},
		{"format: prometheus", "# TYPE \"a.b\" gauge\n{\"a.b\",\"c d\"=\"1\"} 1\n", `[{"labels":{"c d":"1"},"name":"a.b","type":"gauge","value":1}]`},
		{"format: prometheus", "a\n", `invalid Prometheus text: line 1: want a number as the value, got ""`},
		{"format: prometheus", "\na x\n", `invalid Prometheus text: line 2: want a number as the value, got "x"`},
		{"format: prometheus", "a 1 1.5\n", `invalid Prometheus text: line 1: want an integer of milliseconds as the timestamp, got "1.5"`},
		{"format: prometheus", "a 1 2 3\n", `invalid Prometheus text: line 1: text after the timestamp: "3"`},
		{"format: prometheus", "a{b=\"1} 1\n", `invalid Prometheus text: line 1: a string in quotes has no closing quote`},
		{"format: prometheus", "a{b=\"1\",b=\"2\"} 1\n", `invalid Prometheus text: line 1: duplicate label "b"`},
		{"format: prometheus", "a{b=\"1\" c=\"2\"} 1\n", `invalid Prometheus text: line 1: want a comma or } after a label, got "c=\"2\"} 1"`},
		{"format: prometheus", "a{b} 1\n", `invalid Prometheus text: line 1: want = after the label "b"`},
		{"format: prometheus", "{b=\"1\"} 1\n", `invalid Prometheus text: line 1: the sample has no name`},
		{"format: prometheus", "9a 1\n", `invalid Prometheus text: line 1: want a name, got "9a 1"`},
		{"format: prometheus", "# TYPE a thing\n", `invalid Prometheus text: line 1: want the type counter, gauge, histogram, summary or untyped, got "thing"`},
	})
}

func TestTextAndLines(t *testing.T) {
	const pairs = `{format: text, text: {pattern: '(?m)^(?P<name>\w+) = (?P<value>\S+)( # (?P<note>.*))?$'}}`
	check(t, []example{
		{pairs, "a = 1\nnothing\nb = 2 # x\n", `[{"name":"a","value":"1","note":null},{"name":"b","value":"2","note":"x"}]`},
		{pairs, "a = 1\r\nb = 2\r\n", `[{"name":"a","value":"1","note":null},{"name":"b","value":"2","note":null}]`},
		{pairs, "a = 1\rb = 2\r", `[{"name":"a","value":"1","note":null},{"name":"b","value":"2","note":null}]`},
		{`{format: text, text: {pattern: '(?m)(?P<n>\d+)$'}}`, "10%\r20\r\n30", `[{"n":"20"},{"n":"30"}]`},
		{`{format: text, text: {pattern: '(?P<n>\d+)\r\n'}}`, "1\r\n2\r\n", `[{"n":"1"},{"n":"2"}]`},
		{`{format: text, text: {pattern: '(?P<n>\d+)\x0D'}}`, "1\r2\r", `[{"n":"1"},{"n":"2"}]`},
		{pairs, "<html>", `[]`},
		{"{format: text, text: {pattern: '(?P<a>.)'}}", strings.Repeat("x", maxMatched/2+1), `invalid text: more than 125000 matches of text.pattern: write a pattern that matches less`},
		{"{format: text, text: {pattern: '(?P<a>x*)'}}", "ab", `[{"a":""},{"a":""},{"a":""}]`},
		{"format: ndjson", "{\"a\":1}\n2\n", `[{"a":1},2]`},
		{"format: ndjson", "{\"a\":\n 1}{\"a\":2}\n", `[{"a":1},{"a":2}]`},
		{"format: ndjson", "1 2 \"x\"\n3", `[1,2,"x",3]`},
		{"format: ndjson", "1\n1\"x\"", `invalid NDJSON: line 2: before "\"x\"": want a space or the end of the line`},
		{"{format: ndjson, json: {lenient: true}}", "NaN // one\n{\"a\": [1, /* two\n */],}\n", `["NaN",{"a":[1]}]`},
		{"format: ndjson", "{\"a\":1}\n{'a':1}\n2\n", `invalid NDJSON: line 2: before "'a':1}": want a key in quotes`},
		{"format: ndjson", "{\"a\":1}\n{\"a\":\n", `invalid NDJSON: line 2: cut short`},
		{"format: ndjson", "<!doctype html>", `want NDJSON, got an HTML page that begins with "<!doctype html>": is it a login or error page?`},
		{"format: json", "\xef\xbb\xbf{\"a\": 1}", `{"a": 1}`},
		{"json: {lenient: true}", "// x\n{\"a\": [NaN, -Infinity, Infinity, 1,], /* */ \"b//\": \"/*\", }//", `{"a":["NaN","-Infinity","Infinity",1],"b//":"/*"}`},
		{"json: {lenient: true}", "[1, /* x", `the JSON is cut short: it ends with "[1, /* x" after 8 bytes`},
		{"json: {lenient: true}", "[,]", `the JSON is broken at byte 1, before ",]": want a value`},
		{"json: {lenient: true}", "[1,,]", `the JSON is broken at byte 3, before ",]": want a value`},
		{"json: {lenient: true}", "[-Inf]", `the JSON is broken at byte 2, before "Inf]": want a digit`},
		{"{}", "[NaN]", `the JSON is broken at byte 1, before "NaN]": want a value; json: {lenient: true} allows NaN, Infinity, comments, and a comma after the last item`},
		{"{}", "[1,]", `the JSON is broken at byte 3, before "]": want a value; json: {lenient: true} allows NaN, Infinity, comments, and a comma after the last item`},
		{"{}", "{\"a\": 1} {}", `the JSON has a second document at byte 9, "{}": set format: ndjson for a list of them`},
		{"{}", "x", `want JSON, got text that begins with "x"; if it is something else, set format, such as text, keyvalue or csv`},
	})
}

func TestKeyValues(t *testing.T) {
	check(t, []example{
		{"format: keyvalue", "a=1\rb=2\r", `{"a":"1","b":"2"}`},
		{"format: keyvalue", "# x\nA=1\n\n B = \"two words\" \r\nc='x=y'\nd=\ne='", `{"A":"1","B":"two words","c":"x=y","d":"","e":"'"}`},
		{"format: keyvalue", "", `{}`},
		{"{format: keyvalue, keyvalue: {separator: ':'}}", "STATUS   : ONLINE\nTIME : 12:30\n", `{"STATUS":"ONLINE","TIME":"12:30"}`},
		{"{format: keyvalue, keyvalue: {blocks: true}}", "\nId=a\nX=1\n\n\n\nId=b\nX=2\n", `[{"Id":"a","X":"1"},{"Id":"b","X":"2"}]`},
		{"{format: keyvalue, keyvalue: {blocks: true}}", "\n\n", `[]`},
		{"format: keyvalue", "a=1\nb", `invalid lines of keys and values: line 2: has no "=" (keyvalue.separator): "b"`},
		{"format: keyvalue", "=1", `invalid lines of keys and values: line 1: has no key before "=": "=1"`},
		{"format: keyvalue", "a=1\n\na=2", `invalid lines of keys and values: line 3: duplicate key "a", first in line 1: set keyvalue.blocks if empty lines separate several objects`},
		{"{format: keyvalue, keyvalue: {blocks: true}}", "b=1\n\na=1\na=2", `invalid lines of keys and values: line 4: duplicate key "a", first in line 3`},
		{"format: keyvalue", "<html>", `want lines of keys and values, got an HTML page that begins with "<html>": is it a login or error page?`},
	})
}

func TestInflux(t *testing.T) {
	const invalid = "invalid InfluxDB line protocol: "
	check(t, []example{
		// The examples of the specification.
		{"format: influx", "m,t1=v1,t2=v2 f1=\"s\",f2=1i,f3=12.50,f4=3u,f5=t,f6=FALSE 1556813561098000000\r\n\n# x\nm a=-1e3", `[{"measurement":"m","tags":{"t1":"v1","t2":"v2"},"fields":{"f1":"s","f2":1,"f3":12.50,"f4":3,"f5":true,"f6":false},"timestamp":1556813561098000000},{"measurement":"m","tags":{},"fields":{"a":-1e3},"timestamp":null}]`},
		{"format: influx", `my\ m\,x=y,ta\ g=v\=\,1,p=C:\x field\ k="a \"b\" \\ , c" -5`, `[{"measurement":"my m,x=y","tags":{"ta g":"v=,1","p":"C:\\x"},"fields":{"field k":"a \"b\" \\ , c"},"timestamp":-5}]`},
		{"format: influx", "m f=\"a\nb\"\nm f=", invalid + `line 3: want a number, a string in quotes, true or false, got ""`},
		{"format: influx", "", `[]`},
		{"format: influx", "m", invalid + `line 1: want a space and the fields, got ""`},
		{"format: influx", "m,a f=1", invalid + `line 1: want = after "a"`},
		{"format: influx", "m,a= f=1", invalid + `line 1: want a name, got " f=1"`},
		{"format: influx", "m,a=1,a=2 f=1", invalid + `line 1: duplicate key "a"`},
		{"format: influx", "m f=1,", invalid + `line 1: want a name, got ""`},
		{"format: influx", "m f=1x", invalid + `line 1: want a number, a string in quotes, true or false, got "1x"`},
		{"format: influx", "m f=1.5i", invalid + `line 1: want a number, a string in quotes, true or false, got "1.5i"`},
		{"format: influx", `m f="x`, invalid + `line 1: a string in quotes has no closing quote`},
		{"format: influx", `m f="x"1`, invalid + `line 1: want a space and an integer as the timestamp, got "1"`},
		{"format: influx", "m f=1 1.5", invalid + `line 1: want a space and an integer as the timestamp, got "1.5"`},
		{"format: influx", "m f=1 1 2", invalid + `line 1: want a space and an integer as the timestamp, got "1 2"`},
	})
}

func TestCharsetOfSettings(t *testing.T) {
	for settings, want := range map[string]string{
		"charset: windows-1252": "\xc4\x80|Ä€", "charset: ISO-8859-5": "\xb0|А", "charset: cp437": "\x81|ü", "charset: koi8-r": "\xc1|а",
		"charset: Shift_JIS": "\x8e\xba\x89\xb7|室温", "charset: euc-jp": "\xbc\xbc\xb2\xb9|室温", "charset: iso-2022-jp": "\x1b\x24\x42\x3c\x3c\x32\x39\x1b\x28\x42|室温",
		"charset: gbk": "\xce\xc2\xb6\xc8|温度", "charset: GB18030": "\xce\xc2\xb6\xc8\xa2\xe3\x94\x39\xfc\x36|温度€😀", "charset: big5": "\xb7\xc5\xab\xd7|溫度", "charset: euc-kr": "\xbf\xc2\xb5\xb5|온도",
		"charset: utf-8": "\xc3\xa4|ä", "charset: windows-1250": "\xef\xbb\xbfä|ä", "{}": "\xe4|\xe4",
	} {
		body, text, _ := strings.Cut(want, "|")
		if got, err := decoder(t, settings).UTF8("text/csv; charset=utf-8", []byte(body)); err != nil || string(got) != text {
			t.Errorf("%s: got %q, %v, want %q", settings, got, err, text)
		}
	}
	if err := new(Charset).UnmarshalText([]byte("ebcdic")); err == nil {
		t.Error("an unknown charset is accepted")
	}
}
