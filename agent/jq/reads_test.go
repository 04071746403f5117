package jq

import (
	"strings"
	"testing"
)

// TestReads checks which paths an expression reads, and which of them (!) it compares or calculates with for any input.
func TestReads(t *testing.T) {
	for expression, want := range map[string]string{
		`.`:                                     ``,
		`.a.b`:                                  `a.b`,
		`."a-b"`:                                `a-b`,
		`.a?`:                                   `a`,
		`.more | not`:                           `more`,
		`.page == .pages`:                       `page! pages!`,
		`.m.page + 1 >= .m.pages`:               `m.page m.pages!`,
		`.offset + (.items | length) >= .total`: `offset items total!`,
		`.a * 2 + .b < .c - 1`:                  `a! b c!`,
		`(.l | length) < 100`:                   `l!`,
		`(.l | length) == 0`:                    `l`,
		`.next == null`:                         `next`,
		`.errors == [] or .next == null`:        `errors next`,
		`{} != .errors`:                         `errors`,
		`.a == [.b]`:                            `a! b`,
		`.a == {b}`:                             `a!`,
		`.status != "more"`:                     `status`,
		`-.a < 1`:                               `a!`,
		`.a // .b`:                              `b`,
		`(.a // 0) >= .b`:                       `b!`,
		`.b != null and .a >= .b`:               `b a`,
		`.done or .a >= .b`:                     `done a b`,
		`if .a < .b then .a + 1 else null end`:  `a! b! a`,
		`if .more then .data[-1].id else 0 end`: `more data`,
		`.x.info | select(.hasNext).end`:        `x.info x.info.hasNext x.info.end`,
		`.data[-1].created < "2026"`:            `data`,
		`.["data"] | .n`:                        ``,
		`any(.items[]; .last)`:                  ``,
		`"/next?after=\(.cursor)"`:              `cursor`,
		`.total as $n | .offset >= $n`:          `total offset!`,
		`try (.a + 1) catch 0`:                  `a`,
		`def f: .a; f`:                          ``,
		`[.a, .b] | first`:                      `a b`,
	} {
		query, _, err := Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		var got []string
		for _, r := range Reads(query) {
			text := strings.Join(r.Path, ".")
			if r.Needed {
				text += "!"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}
