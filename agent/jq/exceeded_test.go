package jq

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestRunsEndOverTheirBounds checks that expressions that take gigabytes or practically unlimited time in gojq end with an error.
func TestRunsEndOverTheirBounds(t *testing.T) {
	many := map[string]any{"n": 1_000_000_000, "m": 5_000_000, "d": 200_000, "t": strings.Repeat("ab,", 100_000)}
	const max = 16 << 20 // less than maxMemory, so that the runs end sooner
	const memory, depth, often = "used more than 16 MiB of memory", "nested more than 10000 levels deep", "its parts occur too often"
	for text, want := range map[string]string{
		`reduce range(60) as $i ("x"; . + .) | length`:             memory,
		`reduce range(60) as $i ("x"; "\(.)\(.)") | length`:        memory,
		`reduce range(60) as $i ("x"; . += .) | length`:            memory,
		`reduce range(60) as $i ("x"; . * 2) | length`:             memory,
		`reduce range(60) as $i ([0]; . + .) | length`:             memory,
		`reduce range(60) as $i ("x"; [., .] | add) | length`:      often,
		`reduce range(60) as $i ("x"; [., .] | join("")) | length`: often,
		`reduce range(60) as $i ("\""; tojson) | length`:           memory,
		`"x" * .n | length`:    memory,
		`[range(.n)] | length`: memory,
		`[range(20) as $i | ("a" * 60000000 | explode)] | length`:           memory,
		`[.t as $t | range(.n) | $t + "x"] | length`:                        memory,
		`[range(.n) | [range(100)]] | length`:                               memory,
		`def f: 1 + f; f`:                                                   memory,
		`[range(1000000)] as $l | def f: $l[] as $x | f; f`:                 memory,
		`[range(1000000)] as $l | def f: $l | map(f); f`:                    memory,
		`[range(2000000)] | [., (range(200000) | [])] | transpose | length`: memory,
		`"[" + ("0," * 50000000) + "0]" | fromjson | length`:                memory,
		`[range(100000) as $i | .t] | add | length`:                         often,
		`[range(100000) as $i | .t] | tojson | length`:                      often,
		`reduce range(60) as $i (0; [., .]) | tojson`:                       often,
		`reduce range(60) as $i (0; [., .]) | flatten | length`:             often,
		`reduce range(60) as $i (0; [., .]) | . == (tojson | fromjson)`:     often,
		`reduce range(60) as $i (0; [., .]) | .[0] |= empty`:                often,
		`reduce range(60) as $i (0; [., .]) | del(.[0])`:                    often,
		`reduce range(60) as $i (0; [., .]) | [., .] | sort | length`:       often,
		`reduce range(.d) as $i (0; [.]) | tojson`:                          depth,
		`reduce range(.d) as $i (0; [.]) | . == [.]`:                        depth,
		`reduce range(.d) as $i (0; [.]) | [., .] | unique`:                 depth,
		`reduce range(.d) as $i (0; [.]) | (.. | numbers) = 1`:              depth,
		`error(reduce range(.d) as $i (0; [.]))`:                            depth,
		`.[.m] = 1`:                                                         "uses the index 5000000 of a list, more than 4194304",
		`. as $in | null | pick(.[$in.m])`:                                  "uses the index",
		`setpath(["x", 100000000]; 1)`:                                      "uses the index",
		`reduce range(60) as $i (3; . * .)`:                                 "multiplies numbers to more than 65536 bits",
		`"7" * 1000000 | tonumber`:                                          "reads a number of 1000000 digits, more than 4096",
		`"7" * 1000000 | fromjson | . + 1`:                                  "reads a number of 1000000 digits, more than 4096",
		`"(a{1000}){1000}" as $p | .t | test($p)`:                           "",
		`(("(" + "\\pL{100}" + "){9}") * 300) as $p | .t | test($p)`:        "the pattern is too large",
		`reduce range(60) as $i ("x"; try (. + .) catch "caught") | length`: memory,
		`(reduce range(60) as $i ("x"; . + .) | length)? // 1`:              memory,
	} {
		_, code, err := Compile(text)
		if err != nil {
			t.Fatal(text, err)
		}
		code.max = max
		from, most := time.Now(), peak(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err = code.One(ctx, many)
		cancel()
		if over, ok := errors.AsType[*Exceeded](err); want != "" && (!ok || !strings.Contains(over.Error(), want)) {
			t.Errorf("%s: %v after %v, want %s", text, err, time.Since(from).Round(time.Millisecond), want)
		}
		if took, most := time.Since(from), most(); took > 30*time.Second || most > 6*max {
			t.Errorf("%s: took %v and %d MiB", text, took, most>>20)
		}
	}
}

// peak measures the heap until the returned function is called. That function returns the largest growth, in bytes.
func peak(t *testing.T) func() int64 {
	t.Helper()
	runtime.GC()
	before, most := heap(), int64(0)
	done, ended := make(chan struct{}), make(chan struct{})
	often := time.NewTicker(time.Millisecond)
	go func() {
		defer close(ended)
		defer often.Stop()
		for {
			most = max(most, heap()-before)
			select {
			case <-done:
				return
			case <-often.C:
			}
		}
	}()
	return func() int64 { close(done); <-ended; return most }
}

// TestRunsEndWithTheirContext checks that expressions for which gojq takes hours, or never ends, end soon after their context.
func TestRunsEndWithTheirContext(t *testing.T) {
	text := strings.Repeat("a,", 2<<20)
	list := make([]any, 200_000)
	for i := range list {
		list[i] = i
	}
	in := map[string]any{"t": text, "l": list}
	for _, expression := range []string{
		`.t | gsub("(a+)+$|(?<x>,)"; "") | length`, `[.t | match("a.*b|a"; "g")] | length`, `[.t | splits("a.*b|,")] | length`, `.t | test("(x{50}a?){20}$")`,
		`.l - [.l[] + 0.5] | length`, `.l | contains(. + [-1])`, `[range(300000) | 0] | indices([limit(100000; repeat(0))] + [1]) | length`,
		`[range(2)] | until(false; .)`, `repeat(1) | empty`, `(.t * 30) as $t | $t | [match("(?<a>.)"; "g")] | length`,
	} {
		_, code, err := Compile(expression)
		if err != nil {
			t.Fatal(expression, err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, gone)
		from := time.Now()
		_, err = code.One(ctx, in)
		cancel()
		_, over := errors.AsType[*Exceeded](err)
		if took := time.Since(from); !errors.Is(err, gone) && !over || took > 5*time.Second {
			t.Errorf("%s: %v after %v", expression, err, took)
		}
	}
}

// TestLongTextsTakeTimeInProportion checks the replacing and splitting of a long text, for which gojq takes time proportional to the square
// of the length.
func TestLongTextsTakeTimeInProportion(t *testing.T) {
	in := strings.Repeat("a,", 1<<16)
	for text, want := range map[string]string{
		`gsub(","; "") | length`: "65536", `[splits(",")] | length`: "65537", `[match(","; "g").offset] | .[65535]`: "131071",
		`gsub("(?<x>a)"; .x + "b") | length`: "196608", `[scan("a")] | length`: "65536", `indices(",") | length`: "65536",
	} {
		_, code, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := code.One(t.Context(), in); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s is %v, %v, want %s", text, got, err, want)
		}
	}
}

// TestCodeCanRunSeveralTimesAtOnce checks that an expression can be run while another run of the same expression yields a value.
func TestCodeCanRunSeveralTimesAtOnce(t *testing.T) {
	_, code, err := Compile(`.[] | . * 2`)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	err = code.Each(t.Context(), []any{1, 2}, func(a any) error {
		return code.Each(t.Context(), []any{a, 10}, func(b any) error { sum += b.(int); return nil })
	})
	if err != nil || sum != 4+20+8+20 {
		t.Errorf("%d, %v", sum, err)
	}
}
