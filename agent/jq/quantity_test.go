package jq

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestNumbersInTexts(t *testing.T) {
	for text, want := range map[string]any{
		`"12.3 MiB" | quantity("B")`:    12.3 * 1024 * 1024,
		`"1.91 KH" | quantity("H")`:     1910.0,
		`" 512M " | quantity("")`:       512e6,
		`"512M" | quantity("B"; 1024)`:  `a number of the unit "B", such as "12.5 kB", got "512M"`,
		`"512MB" | quantity("B"; 1024)`: 512.0 * 1024 * 1024,
		`"512\u00a0kB" | quantity("B")`: 512e3,
		`"7 PiB" | quantity("B")`:       7 * math.Pow(1024, 5),
		`"-3.3 mV" | quantity("V")`:     -0.0033,
		`"250 µs" | quantity("s")`:      250e-6,
		`"5 m" | quantity("m")`:         5.0,
		`"5 mm" | quantity("m")`:        0.005,
		`"35%" | quantity("%")`:         35.0,
		`"1e3 W" | quantity("W")`:       1000.0,
		`".5 kWh" | quantity("Wh")`:     500.0,
		`"2.E" | quantity("")`:          2e18,
		`17 | quantity("B")`:            17,
		`null | quantity("B")`:          nil,
		`"12 apples" | quantity("B")`:   `got "12 apples"`,
		`"12 xB" | quantity("B")`:       `"x" is not a prefix`,
		`"12 kMB" | quantity("B")`:      `"kM" is not a prefix`,
		`"12 iB" | quantity("B")`:       `"i" is not a prefix`,
		`"12 miB" | quantity("B")`:      `"mi" is not a prefix`,
		`"B" | quantity("B")`:           `got "B"`,
		`"1e999 B" | quantity("B")`:     `got "1e999 B"`,
		`"1,234 B" | quantity("B")`:     `is not a prefix`,
		`true | quantity("B")`:          "quantity: want a number of the unit",
		`"1" | quantity(1)`:             `quantity: want a unit such as "B", got 1`,
		`"1 B" | quantity("B"; 1e3)`:    "quantity: want the step 1000 or 1024",
		`("1" * 300) | quantity("")`:    "got a string of 300 bytes",

		`"1.234.567,89" | decimal(",")`: 1234567.89,
		`"1.234" | decimal(",")`:        1234.0,
		`"0,05" | decimal(",")`:         0.05,
		`"-12" | decimal(",")`:          -12.0,
		`"1 234,5" | decimal(",")`:      1234.5,
		`"1'234.5" | decimal(".")`:      1234.5,
		`"1,378" | decimal(".")`:        1378.0,
		`3.5 | decimal(",")`:            3.5,
		`"1.23" | decimal(",")`:         `decimal: want a number such as "1.234,5", got "1.23"`,
		`"1.2345" | decimal(",")`:       `got "1.2345"`,
		`"1.234 567" | decimal(",")`:    `got "1.234 567"`,
		`"0.123" | decimal(",")`:        `decimal: want a number such as "1.234,5", got "0.123"`,
		`"-0,123" | decimal(".")`:       `got "-0,123"`,
		`"012.345" | decimal(",")`:      `got "012.345"`,
		`"0 123" | decimal(".")`:        `got "0 123"`,
		`"0,123" | decimal(",")`:        0.123,
		`"10.123" | decimal(",")`:       10123.0,
		`"1,2,3" | decimal(",")`:        `got "1,2,3"`,
		`"1,2e3" | decimal(",")`:        1200.0,
		`"0x1" | decimal(",")`:          `got "0x1"`,
		`"NaN" | decimal(",")`:          `got "NaN"`,
		`"" | decimal(",")`:             `got ""`,
		`"1" | decimal(";")`:            `decimal: want the decimal mark`,

		`"1f" | hex`:                31,
		`" 0x1F" | hex`:             31,
		`"ffffffffffffffff" | hex`:  new(big.Int).SetUint64(math.MaxUint64),
		`"1ffffffffffffffff" | hex`: `hex: want hexadecimal digits`,
		`"-1" | hex`:                `hex: want hexadecimal digits`,
		`"1_0" | hex`:               `hex: want hexadecimal digits`,
		`"0x" | hex`:                `hex: want hexadecimal digits`,
		`"g" | hex`:                 `hex: want hexadecimal digits`,

		`"3d 4h" | duration`:            273600.0,
		`"1h2m3.5s" | duration`:         3723.5,
		`"43.5 Minutes" | duration`:     2610.0,
		`"2 weeks, 1 day" | duration`:   15 * 86400.0,
		`"250ms" | duration`:            0.25,
		`"-1m" | duration`:              -60.0,
		`"04:05:06" | duration`:         14706.0,
		`"100:00:00.5" | duration`:      360000.5,
		`"3-04:05:06" | duration`:       3*86400 + 14706.0,
		`"4T06:37:41" | duration`:       4*86400 + 6*3600 + 37*60 + 41.0,
		`"2 days, 04:05:06" | duration`: 2*86400 + 14706.0,
		`"12d 04:05:06" | duration`:     12*86400 + 14706.0,
		`"P3DT4H" | duration`:           273600.0,
		`"PT0.5S" | duration`:           0.5,
		`"P2W" | duration`:              14 * 86400.0,
		`90 | duration`:                 90,
		`null | duration`:               nil,
		`"P1Y" | duration`:              "months and years have no fixed length",
		`"2 months" | duration`:         "months and years have no fixed length",
		`"12:34" | duration`:            "is it hours and minutes, or minutes and seconds?",
		`"3M" | duration`:               `duration: want a duration such as`,
		`"P" | duration`:                `duration: want a duration such as`,
		`"PT1.1.1S" | duration`:         `duration: want a duration such as`,
		`"" | duration`:                 `duration: want a duration such as`,
		`"3 x" | duration`:              `duration: want a duration such as`,
		`"3" | duration`:                `duration: want a duration such as`,
		`"04:65:06" | duration`:         `duration: want a duration such as`,
	} {
		_, code, err := Compile(text)
		if err != nil {
			t.Fatal(text, err)
		}
		shown, got := shown(code.One(t.Context(), nil))
		if part, isText := want.(string); isText && !strings.Contains(shown, part) || !isText && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", text, shown, want)
		}
	}
}

// FuzzNumbers checks the functions that read numbers from texts. Each number is finite, and each error is one short line.
func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"12.3 MiB", "1.234,5", "0x1f", "3d 4h", "3-04:05:06", "P3DT4H", "1e308 EB", "999999999 weeks", "PT1e5S"} {
		f.Add(s)
	}
	functions := map[string]func(any) any{
		"quantity": func(in any) any { return quantity(in, []any{"B"}) },
		"unitless": func(in any) any { return quantity(in, []any{"", 1024}) },
		"comma":    func(in any) any { return decimal(in, []any{","}) },
		"point":    func(in any) any { return decimal(in, []any{"."}) },
		"hex":      func(in any) any { return hex(in, nil) },
		"duration": func(in any) any { return duration(in, nil) },
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, function := range functions {
			switch v := function(text).(type) {
			case error:
				if s := v.Error(); len(s) > 400 || strings.Contains(s, "\n") {
					t.Errorf("%s of %q: %s", name, text, s)
				}
			case float64:
				if v-v != 0 {
					t.Errorf("%s of %q is %v", name, text, v)
				}
			case int, *big.Int:
			default:
				t.Errorf("%s of %q is %v", name, text, v)
			}
		}
	})
}
