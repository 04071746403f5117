package format

import (
	"reflect"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/document"
)

// yamlTexts are documents as programs write them, and documents that are unusual or wrong.
var yamlTexts = []string{
	// kubectl get -o yaml
	"apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    annotations:\n      checksum/config: 6f1e\n      kubernetes.io/config.seen: \"2026-03-01T10:00:00.5Z\"\n    creationTimestamp: \"2026-03-01T10:00:00Z\"\n    labels:\n      app.kubernetes.io/name: cton\n    name: cton-7d9-x2\n    uid: 8e1c-4f\n  spec:\n    containers:\n    - args:\n      - --web.listen=:8000\n      - -c\n      image: ghcr.io/x/cton:1.2@sha256:abc\n      resources: {}\n    tolerations: []\n  status:\n    hostIP: 10.0.0.7\n    restartCount: 0\nkind: List\nmetadata:\n  resourceVersion: \"\"\n",
	// helm
	"---\n# Source: cton/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  name: release-name-cton # the name\n  labels:\n    helm.sh/chart: cton-0.1.0\nspec:\n  ports:\n    - port: 80\n      targetPort: http\n\n      protocol: TCP\n  selector: {app: cton, tier: \"web\"}\n",
	// an inventory of ansible
	"all:\n  hosts:\n    mail.example.com:\n  children:\n    webservers:\n      hosts:\n        foo.example.com:\n          http_port: 80\n          become: yes\n        bar[01:50].example.com: ~\n  vars: { ansible_user: root, x: 'it''s' }\n",
	// OpenAPI
	"openapi: 3.0.3\ninfo: {title: API, version: 1.0.0}\npaths:\n  /pets/{id}:\n    get:\n      parameters:\n        - $ref: '#/components/parameters/id'\n        - name: q\n          in: query\n          schema: {type: array, items: {type: integer, minimum: -1}, example: [1, 2.5, 1e3]}\n      responses:\n        '200':\n          description: \"A pet: \\\"Rex\\\" \\u00e9\\n\"\n        default: {}\n",
	// others
	"- {\"id\":\"rec-1\",\"open\":7,\"seconds\":0.25,\"link\":\"https://x.test/1\",\"list\":[1,[true,null],{}]}\n- {\"id\":\"rec-2\"}\n",
	"- - a\n  - - b\n    -\n    - c\n-\n  - d\n- x: 1\n  y:\n  - z\n  w:\n- \n",
	"a: 1_000\nb: 0o7\nc: .inf\nd: 1e3\ne: yes\nf: ~\ng: 2026-01-01\nh: 0x1F\ni: -0\nj: +.5\nk: 1:30\nl: 007\nm: NULL\nn: .NaN\no: 5.\np: True\n",
	"a: b: c\n", "a: b\n c\n", "a: \"b\n  c\"\n", "a:\n b: 1\n  c: 2\n", "a: 1 # c\n # d\nb: 2\n#e\n", "a:b: c\n", "a : 1\n", "\"a\": 1\n'b': 2\n\"c\" : 3\n", "a: #c\n  b\n", "a:\n- b\nc:\n  - d\n",
	"a: 1\r\nb:\r\n- c\r\n\r\n", "a: 1\rb: 2\n", "\uFEFFa: 1\n", "a: \uFEFFb\n", "a: \x00\n", "a\x00: 1", "ключ: значение\n日本: \"é\" # ü\n", "a: b\u0085c: d\n", "a: x\u2028y\n", "a: \x7F\n", "\xff: 1\n",
	"a: 1   \nb:   \n  c: 2  \n", "a:\n\n\n  b: 1\n\n", "a: 1\na: 2\n", "{a: 1, a: 2}\n", "a: {b: 1, \"b\": 2}\n", "<<: {a: 1}\n", "\"<<\": 1\n", "{<<: 1}", "- <<\n",
	"a: &x 1\nb: *x\n", "a: !!str 1\n", "a: |\n  b\n", "a: >-\n  b\n", "? a\n: b\n", "%YAML 1.2\n---\na: 1\n", "---\na: 1\n---\nb: 2\n", "a: 1\n...\n", "--- a\n", "---\n---\n", "a: 1\n---\n", "...\na: 1\n", "---a: 1\n", "- ---\n", "--- # c\na: 1\n",
	"a: @b\n", "a: `b\n", "a: -\n", "a: - b\n", "a: -b\n", "a: ?b\n", "a: :b\n", "a: %b\n", "a: ,b\n", "a: ]\n", "- -\n", "-a\n", "-\ta\n", "a:\tb\n", "a: b\tc\n", "\ta: 1\n", "[a, b]: c\n", "{a: b}: c\n",
	"a:\nb: 1\n", "a:\n  b:\n  c: 1\n", "\"a\":1\n", "'a':b\n", "'a':\n- b\n", "{a:[b]}\n", "{a:{b: c}}\n", "{a:, b: c}\n", "{'a':[b]}\n", "a: nULL\n", "-   a: 1\n    b: 2\n", "-   a: 1\n  b: 2\n", "-   - a\n    - b\n", "- - a: 1\n    b: 2\n  - c\n",
	"[a, b,]\n", "[a b, 'c''d', \"e\\tf\"] # g\n", "[a: b]\n", "{a}\n", "{a: }\n", "{a:1}\n", "{\"a\":1}\n", "{a: b:c}\n", "{a: b: c}\n", "[a:, b]\n", "[-]\n", "[-1, - 1]\n", "[a#b, c #d\n]", "{a: [}\n", "[]]\n", "{a: {}, b: [[], {}]}\n", "[a,\n b]\n", "[http://x.test/?a=1, ::1]\n",
	"a: 'b' c\n", "a: 'b'#c\n", "a: 'b' #c\n", "a: [b]#c\n", "a: \"\\x41\"\n", "a: \"\\ud83d\\ude00\"\n", "a: \"\\u12\"\n", "a: \"\\u+123\"\n", "a: \"\\", "a: '", "''''", "\"\\\"\"", "'a': 'b': c\n", "- 'a': 1\n  b: 2\n",
	"  a: 1\n  b: 2\n", "  a: 1\n b: 2\n", " - a\n - b\n", "a\n", "'a'\n", "7", "- a\nb\n", "- a\n  b\n", "- a\n  - b\n", "a:\n  - b\n - c\n", "- a: 1\n b: 2\n", "a:\n    b: 1\n  c: 2\n", "", " ", "#\n", "---\n", "-", "a:", ":", "- # c\n  a: 1\n",
}

// compareYAML decodes a document with the type lines and with the library. It returns whether the type lines can read the document.
func compareYAML(t *testing.T, d *Decoder, text []byte) bool {
	d.built.Reset(0, 0)
	if !(&lines{built: &d.built}).read(text) {
		return false
	}
	v, err := d.built.Value()
	got := v.Clone()
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	d.built.Reset(0, 0)
	if err := d.anyYAML(text); err != nil {
		t.Fatalf("%q: read as %s, but refused by the library: %v", text, got, err)
	}
	if want, err := d.built.Value(); err != nil || !reflect.DeepEqual(got, want.Clone()) {
		t.Fatalf("%q: read as %s, want %s, %v", text, got, want, err)
	}
	return true
}

// FuzzYAMLLines compares what the type lines reads of a document with what the library reads.
func FuzzYAMLLines(f *testing.F) {
	for _, s := range yamlTexts {
		f.Add([]byte(s))
	}
	d := decoder(f, "format: yaml")
	f.Fuzz(func(t *testing.T, text []byte) { compareYAML(t, d, text) })
}

// pieces are pieces of YAML documents. Some sequences of pieces are valid documents.
var pieces = []string{
	"a", "b", ": ", ":", "- ", "-", " ", "  ", "\n", "\n  ", "\n- ", "\"", "'", "[", "]", "{", "}", ",", ", ", " #", "#", "1", ".5", "---", "...", "~", "true", "?", "&x ", "*x", "!", "|", "\\", "<<", "é", "\r\n", "\t", "%",
}

// FuzzYAMLPieces compares documents that consist of pieces. Each byte of the input stands for a piece.
func FuzzYAMLPieces(f *testing.F) {
	for _, s := range yamlTexts {
		f.Add([]byte(s))
	}
	d := decoder(f, "format: yaml")
	f.Fuzz(func(t *testing.T, input []byte) {
		var text strings.Builder
		for _, b := range input {
			text.WriteString(pieces[int(b)%len(pieces)])
		}
		compareYAML(t, d, []byte(text.String()))
	})
}

// TestYAMLPieces compares all documents of up to three pieces.
func TestYAMLPieces(t *testing.T) {
	d := decoder(t, "format: yaml")
	read := 0
	var all func(text string, more int)
	all = func(text string, more int) {
		if compareYAML(t, d, []byte(text)) {
			read++
		}
		for _, piece := range pieces {
			if more > 0 {
				all(text+piece, more-1)
			}
		}
	}
	all("", 3)
	if read < 1000 {
		t.Errorf("the type lines read %d of these documents", read)
	}
}

// TestYAMLLines checks which documents are read without the library.
func TestYAMLLines(t *testing.T) {
	d := decoder(t, "format: yaml")
	for _, text := range yamlTexts[:7] {
		if !compareYAML(t, d, []byte(text)) {
			t.Errorf("%q: not read", text)
		}
	}
	deep := strings.Repeat("- ", document.MaxDepth-1)
	many := strings.Repeat("[", document.MaxDepth)
	for text, want := range map[string]bool{
		deep + "- a": true, deep + "- - a": false, deep + "a: b": true, deep + "- a: b": false, many + strings.Repeat("]", document.MaxDepth): true, many + "[]" + strings.Repeat("]", document.MaxDepth): false,
		"a: 1\r\nb: é": true, "a": true, "a: b#c # d": true, "-   a: 1\n    b: 2": true, "a:\nb: 1": true, "a: \"\\/\\b\\f\\n\\r\\t\\u0000\\uFFFF\"": true,
		"": false, "---": false, "a: &x 1": false, "a: *x": false, "a: !x 1": false, "a: |\n  b": false, "a: b\n  c": false, "? a": false, "a:\tb": false, "%YAML 1.2": false,
		"<<: {}": false, "a: 1\n b: 1": false, "a: 1\na: 1": false, "{a: 1, 'a': 1}": false, "a: \uFEFF": false, "a: \u0085": false, "a: \x00": false, "a: \xff": false,
	} {
		if got := compareYAML(t, d, []byte(text)); got != want {
			t.Errorf("%q: read %v, want %v", text, got, want)
		}
	}
}

// TestYAMLLinesFindsDuplicateKeys checks mappings with few and many keys.
func TestYAMLLinesFindsDuplicateKeys(t *testing.T) {
	d := decoder(t, "format: yaml")
	for n := range 40 {
		block, flow := "", "{"
		for i := range n {
			key := strings.Repeat("k", i+1)
			block, flow = block+key+": 1\n", flow+key+": 1, "
		}
		for i := range n {
			key := strings.Repeat("k", i+1)
			if compareYAML(t, d, []byte(block+key+": 1\n")) || compareYAML(t, d, []byte(flow+key+": 1}")) {
				t.Errorf("of %d keys, key %d came twice", n, i+1)
			}
		}
		if !compareYAML(t, d, []byte(block+"x: 1")) || !compareYAML(t, d, []byte(flow+"x: 1}")) {
			t.Errorf("%d different keys were not read", n+1)
		}
	}
}
