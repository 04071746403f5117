package format

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkDecode decodes the same 10,000 records in each format.
func BenchmarkDecode(b *testing.B) {
	var json, ndjson, table, tree, doc, blocks, page strings.Builder
	table.WriteString("id,team,region,stack,open,resolved,latency_seconds,title,link,trace\n")
	tree.WriteString("<data>")
	for i := range 10_000 {
		values := []any{
			fmt.Sprintf("rec-%06d", i), fmt.Sprintf("team-%02d", i%50), fmt.Sprintf("eu-west-%d", i%6), "prd", (i * 7) % 500, i,
			fmt.Sprintf("%d.%06d", i%3, i*7919%1000000), fmt.Sprintf("Service check number %d", i),
			fmt.Sprintf("https://tracker.example.test/%d", i), fmt.Sprintf("%016x", i*7919),
		}
		line := fmt.Sprintf(`{"id":%q,"team":%q,"region":%q,"stack":%q,"open":%d,"resolved":%d,"latency_seconds":%s,"title":%q,"link":%q,"trace":%q}`, values...)
		ndjson.WriteString(line + "\n")
		json.WriteString(map[bool]string{true: "["}[i == 0] + line + map[bool]string{true: ","}[i < 9_999])
		fmt.Fprintf(&table, "%s,%s,%s,%s,%d,%d,%s,\"%s\",%s,%s\n", values...)
		fmt.Fprintf(&tree, "<r><id>%s</id><team>%s</team><region>%s</region><stack>%s</stack><open>%d</open><resolved>%d</resolved><latency_seconds>%s</latency_seconds><title>%s</title><link>%s</link><trace>%s</trace></r>", values...)
		if i < 2_000 { // as many as the bound allows
			doc.WriteString("- " + line + "\n")
		}
		fmt.Fprintf(&blocks, "- open: %d\n  resolved: %d\n  latency_seconds: %s\n  title: %s\n", values[4:8]...) // as many fields as the bound allows
		fmt.Fprintf(&page, "records_open{id=%q,team=%q,region=%q,stack=%q} %d\n", values[:5]...)
	}
	json.WriteString("]")
	tree.WriteString("</data>")
	for _, c := range []struct{ name, settings, text string }{
		{"json", "format: json", json.String()},
		{"ndjson", "format: ndjson", ndjson.String()},
		{"csv", "format: csv", table.String()},
		{"xml", "format: xml", tree.String()},
		{"yaml-2000", "format: yaml", doc.String()},
		{"yaml-blocks", "format: yaml", blocks.String()},
		{"prometheus", "format: prometheus", page.String()},
		{"text", `{format: text, text: {pattern: '(?m)^\w+\{id="(?P<id>[^"]*)",team="(?P<team>[^"]*)",.*\} (?P<value>\S+)$'}}`, page.String()},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, text := decoder(b, c.settings), []byte(c.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(context.Background(), "x", "", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
