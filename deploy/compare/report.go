package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// column is a column of the tables. It shows one figure of a result.
type column struct {
	title  string
	format string
	of     func(result) float64
}

func columns() []column {
	return []column{
		{"CPU s a million samples", "%.2f", func(r result) float64 { return r.CPU }},
		{"CPU ms a run", "%.0f", func(r result) float64 { return 1000 * r.RunCPU }},
		{"start to end, ms", "%.0f", func(r result) float64 { return 1000 * r.Wall }},
		{"largest memory MiB", "%.0f", func(r result) float64 { return r.Memory }},
		{"bytes a sample", "%.1f", func(r result) float64 { return r.Bytes }},
		{"first sample after s", "%.1f", func(r result) float64 { return r.Start }},
		{"binary MiB", "%.0f", func(r result) float64 { return r.Binary }},
		{"other CPU s meanwhile", "%.1f", func(r result) float64 { return r.Noise }},
	}
}

// group is the results of one program with one workload.
type group struct {
	program string
	results []result
}

// groups returns the results of a workload, grouped by program. The groups are in the order of the programs' first runs.
func groups(all []result, workload string) (list []group) {
	for _, r := range all {
		if r.Workload != workload {
			continue
		}
		i := slices.IndexFunc(list, func(g group) bool { return g.program == r.Program })
		if i < 0 {
			i, list = len(list), append(list, group{program: r.Program})
		}
		list[i].results = append(list[i].results, r)
	}
	return list
}

// spread is the median, the minimum and the maximum of some figures.
type spread struct{ median, least, most float64 }

func spreadOf(results []result, of func(result) float64) spread {
	var all []float64
	for _, r := range results {
		all = append(all, of(r))
	}
	slices.Sort(all)
	median := all[len(all)/2]
	if len(all)%2 == 0 {
		median = (all[len(all)/2-1] + median) / 2
	}
	return spread{median, all[0], all[len(all)-1]}
}

func (s spread) text(format string) string {
	text := fmt.Sprintf(format, s.median)
	if s.least != s.most {
		text += fmt.Sprintf(" ("+format+"–"+format+")", s.least, s.most)
	}
	return text
}

// writeTables writes a Markdown table for each workload: medians, with the minimum and the maximum.
func writeTables(w io.Writer, all []result) error {
	var b strings.Builder
	for _, work := range workloads() {
		list := groups(all, work.name)
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", strings.ToUpper(work.title[:1])+work.title[1:])
		if work.kind == "scrape-disk" && work.name != "scrape-disk" {
			writeLosses(&b, list)
			continue
		}
		writeTable(&b, list)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeTable(b *strings.Builder, list []group) {
	used := slices.DeleteFunc(columns(), func(c column) bool {
		return !slices.ContainsFunc(list, func(g group) bool { return spreadOf(g.results, c.of) != spread{} })
	})
	b.WriteString("| program | runs |")
	for _, c := range used {
		b.WriteString(" " + c.title + " |")
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(used)+2) + "\n")
	for _, g := range list {
		fmt.Fprintf(b, "| %s | %d |", g.program, len(g.results))
		for _, c := range used {
			b.WriteString(" " + spreadOf(g.results, c.of).text(c.format) + " |")
		}
		b.WriteString("\n")
	}
}

func writeLosses(b *strings.Builder, list []group) {
	b.WriteString("| program | runs | samples served | lost | arrived twice | largest memory MiB |\n|" + strings.Repeat("---|", 6) + "\n")
	for _, g := range list {
		fmt.Fprintf(b, "| %s | %d |", g.program, len(g.results))
		for _, of := range []func(result) float64{
			func(r result) float64 { return float64(r.Samples) },
			func(r result) float64 { return float64(r.Lost) },
			func(r result) float64 { return float64(r.Twice) },
			func(r result) float64 { return r.Memory },
		} {
			b.WriteString(" " + spreadOf(g.results, of).text("%.0f") + " |")
		}
		b.WriteString("\n")
	}
}

// bar is the bar of one program in a chart.
type bar struct {
	label string
	spread
	text string
}

// writeChart writes an SVG chart of CPU time. For each workload that measures CPU time per sample, the chart has a bar for each program.
func writeChart(w io.Writer, all []result, caption string) error {
	const width, left, bottom, height, gap = 760, 170, 40, 20, 44
	var b strings.Builder
	y := 20
	for _, work := range workloads() {
		bars := barsOf(groups(all, work.name))
		if len(bars) == 0 {
			continue
		}
		most := slices.MaxFunc(bars, func(a, b bar) int { return cmp.Compare(a.median, b.median) }).median
		fmt.Fprintf(&b, "<text class=\"title\" x=\"0\" y=\"%d\">%s: CPU seconds a million samples</text>\n", y, escape(work.title))
		for _, bar := range bars {
			y += height + 6
			long := max(1, int(bar.median/most*(width-left-bottom-120)))
			class := "peer"
			if strings.HasPrefix(bar.label, "cton") {
				class = "cton"
			}
			fmt.Fprintf(&b, "<text x=\"0\" y=\"%d\">%s</text><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
				y, escape(bar.label), class, left, y-height+6, long, height-2, left+long+8, y, bar.text)
		}
		y += gap
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 %d %d" font-family="system-ui, sans-serif" font-size="14">
<style>text { fill: #24292f } .title { font-weight: 600 } .cton { fill: #e6522c } .peer { fill: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }</style>
%s<text x="0" y="%d" font-size="12">%s</text>
</svg>
`, width+20, y+30, b.String(), y, escape(caption))
	return err
}

func barsOf(list []group) (bars []bar) {
	for _, g := range list {
		if s := spreadOf(g.results, func(r result) float64 { return r.CPU }); s.median > 0 {
			bars = append(bars, bar{g.program, s, s.text("%.2f")})
		}
	}
	return bars
}

func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text)
}
