package format

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/document"
)

const (
	mib       = 1 << 20
	maxMemory = 55 * mib // for a body of 1 MiB, garbage included
)

// hostile returns bodies of 1 MiB that are meant to be as expensive as possible.
func hostile() map[string]example {
	fill := func(text string) string { return strings.Repeat(text, mib/len(text)) }
	names := func(form func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < mib; i++ {
			b.WriteString(form(i))
		}
		return b.String()
	}
	letters := func(i int) string {
		return string([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676%26), 'a' + byte(i/17576%26)})
	}
	one := "{format: csv, csv: {header: false, columns: [a]}}"
	many := "{format: csv, csv: {header: false, columns: [" + strings.TrimSuffix(names(func(i int) string { return letters(i) + ", " })[:10_000*6], ", ") + "]}}"
	return map[string]example{
		"csv rows":           {one, fill("1\n"), ""},
		"csv blank lines":    {one, fill("\n"), ""},
		"csv cells":          {many, fill(strings.Repeat(",", 9_999) + "\n"), ""},
		"csv columns":        {"format: csv", names(func(i int) string { return letters(i) + "," }), ""},
		"csv long name":      {"format: csv", strings.Repeat("x", mib/2) + ",y\n" + fill(",\n")[:mib/2], ""},
		"csv open quote":     {"format: csv", "a\n\"" + fill("x\n"), ""},
		"csv quotes":         {one, "\"" + fill("\"\"") + "\"", ""},
		"csv unnamed":        {"{format: csv, csv: {trim: true}}", "a" + strings.Repeat(",", 9_999) + "\n" + fill(strings.Repeat(" ,", 9_999)+"\n"), ""},
		"key values":         {"format: keyvalue", names(func(i int) string { return letters(i) + "=\n" }), ""},
		"key value blocks":   {"{format: keyvalue, keyvalue: {blocks: true}}", fill("a=\n\n"), ""},
		"influx points":      {"format: influx", fill("a b=1\n"), ""},
		"influx tags":        {"format: influx", "a," + names(func(i int) string { return letters(i) + "=1," }) + "a=1 b=1", ""},
		"influx quote":       {"format: influx", "a b=\"" + fill("x\n"), ""},
		"json lenient":       {"json: {lenient: true}", "[" + fill("NaN,") + "]", ""},
		"json comments":      {"json: {lenient: true}", fill("/**/"), ""},
		"json open comment":  {"json: {lenient: true}", fill("/* "), ""},
		"ndjson documents":   {"format: ndjson", fill("{}"), ""},
		"ndjson":             {"format: ndjson", fill("1\n"), ""},
		"ndjson separators":  {"format: ndjson", fill("\x1e"), ""},
		"ndjson deep":        {"format: ndjson", fill("["), ""},
		"json":               {"format: json", "[" + fill("1,") + "1]", ""},
		"xml elements":       {"format: xml", "<r>" + fill("<a/>") + "</r>", ""},
		"xml attributes":     {"format: xml", "<r>" + fill(`<a b=""/>`) + "</r>", ""},
		"xml names":          {"format: xml", "<r " + names(func(i int) string { return letters(i) + `="" ` }) + "/>", ""},
		"xml one attribute":  {"format: xml", "<r " + fill(`a="" `) + "/>", ""},
		"xml texts":          {"format: xml", "<r>" + fill("a<b/>") + "</r>", ""},
		"xml deep":           {"format: xml", fill("<a>"), ""},
		"xml entities":       {"format: xml", "<r>" + fill("&lt;") + "</r>", ""},
		"yaml items":         {"format: yaml", strings.Repeat("- a\n", maxMarks), ""},
		"yaml pairs":         {"format: yaml", "[" + strings.Repeat(":,", maxMarks/3-1) + "]", ""},
		"yaml too many":      {"format: yaml", "[" + fill("a,") + "]", ""},
		"yaml text":          {"format: yaml", fill("a "), ""},
		"yaml comments":      {"format: yaml", fill("#\n"), ""},
		"yaml deep":          {"format: yaml", strings.Repeat("[", maxMarks), ""},
		"yaml laughs":        {"format: yaml", laughs("x", 10), ""},
		"yaml silent laughs": {"format: yaml", laughs("~", 10), ""},
		"yaml long alias":    {"format: yaml", "- &a " + strings.Repeat("x", mib/2) + "\n" + strings.Repeat("- *a\n", 50_000), ""},
		"yaml long number":   {"format: yaml", "0x" + fill("f"), ""},
		"prometheus samples": {"format: prometheus", fill("a 1\n"), ""},
		"prometheus labels":  {"format: prometheus", "a{" + names(func(i int) string { return letters(i) + `="",` }) + "} 1", ""},
		"prometheus help":    {"format: prometheus", names(func(i int) string { return "# HELP " + letters(i) + " \n" }), ""},
		"prometheus long":    {"format: prometheus", "# HELP a " + fill("x")[:mib/2] + "\n" + fill("a 1\n")[:mib/2], ""},
		"text matches":       {"{format: text, text: {pattern: '(?P<a>.)'}}", fill("x"), ""},
		"text nothing":       {"{format: text, text: {pattern: '(?P<a>(x+x+)+y)'}}", fill("x"), ""},
	}
}

// laughs returns lists of ten aliases of lists of ten aliases, and so on.
func laughs(item string, levels int) string {
	text := "a0: &a0 [" + strings.Repeat(item+", ", 10) + "]\n"
	for i := 1; i < levels; i++ {
		text += fmt.Sprintf("a%d: &a%[1]d [%s]\n", i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	return text
}

// heap returns the bytes of all objects on the heap, garbage included.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// TestHostileBodies checks the memory that any body of 1 MiB can take.
func TestHostileBodies(t *testing.T) {
	for name, c := range hostile() {
		t.Run(name, func(t *testing.T) {
			d := decoder(t, c.settings)
			text := []byte(c.text)
			defer debug.SetGCPercent(debug.SetGCPercent(5)) // so that there is little garbage
			runtime.GC()
			before := heap()
			peak, done, stopped := before, make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for ticker := time.NewTicker(time.Millisecond); ; {
					peak = max(peak, heap())
					select {
					case <-done:
						return
					case <-ticker.C:
					}
				}
			}()
			begin := time.Now()
			_, err := d.Decode(context.Background(), "x", "", text)
			took := time.Since(begin)
			close(done)
			<-stopped
			held := peak - before
			t.Logf("%4d MiB, %v, %.80v", held/mib, took.Round(time.Millisecond), err)
			if held > maxMemory {
				t.Errorf("holds %d MiB at once", held/mib)
			}
		})
	}
}

func TestXMLHasABoundOnItsElements(t *testing.T) {
	d := decoder(t, "format: xml")
	if _, err := d.Decode(context.Background(), "x", "", []byte("<r>"+strings.Repeat("<a/>", maxElements)+"</r>")); !errors.Is(err, document.ErrMany) {
		t.Errorf("got %v", err)
	}
}
