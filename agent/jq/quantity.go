package jq

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/pattern"
)

// maxQuantity is the maximum length of a text with a number, in bytes.
const maxQuantity = 200

// numbers returns compiler options. They define the functions that read numbers from texts.
func numbers() []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithFunction("quantity", 1, 2, quantity),
		gojq.WithFunction("decimal", 1, 1, decimal),
		gojq.WithFunction("hex", 0, 0, hex),
		gojq.WithFunction("duration", 0, 0, duration),
	}
}

// quantityText returns the input without spaces around it. If the input is not a string, "done" is true and v is the result of the
// function: null and numbers are returned unchanged, and anything else is an error. A string that is too long is an error too.
func quantityText(function, want string, in any) (text string, v any, done bool) {
	switch in := in.(type) {
	case nil:
		return "", nil, true
	case string:
		text = strings.TrimSpace(strings.ReplaceAll(in, "\u00a0", " "))
		if len(in) > maxQuantity {
			return "", fmt.Errorf("%s: want %s, got a string of %d bytes", function, want, len(in)), true
		}
		return text, nil, false
	case bool, []any, map[string]any:
		return "", fmt.Errorf("%s: want %s, got %s", function, want, gojq.Preview(in)), true
	}
	return "", in, true
}

var leadingNumber = pattern.OnUse(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?`)

// quantity implements quantity(unit) and quantity(unit; step). It converts a text such as "12.3 MiB" to a number of units, here bytes. The
// text consists of a number, an optional prefix of the SI or of IEC 80000-13, and the unit. The step, 1000 or 1024, is the factor between
// the prefixes k, M, G, T, P and E.
func quantity(in any, arguments []any) any {
	unit, isText := arguments[0].(string)
	step := 1000.0
	if len(arguments) == 2 {
		if n, ok := arguments[1].(int); !ok || n != 1000 && n != 1024 {
			return fmt.Errorf("quantity: want the step 1000 or 1024, got %s", gojq.Preview(arguments[1]))
		} else {
			step = float64(n)
		}
	}
	if !isText {
		return fmt.Errorf(`quantity: want a unit such as "B", got %s`, gojq.Preview(arguments[0]))
	}
	want := fmt.Sprintf("a number of the unit %.20q, such as %q", unit, strings.TrimSpace("12.5 k"+unit))
	text, v, done := quantityText("quantity", want, in)
	if done {
		return v
	}
	number := leadingNumber().FindString(text)
	prefix, hasUnit := strings.CutSuffix(text[len(number):], unit)
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !hasUnit {
		return fmt.Errorf("quantity: want %s, got %.40q", want, text)
	}
	n, ok := scale(n, strings.TrimSpace(prefix), step)
	switch {
	case math.IsInf(n, 0):
		return fmt.Errorf("quantity: %.40q is too large a number", text)
	case !ok:
		return fmt.Errorf("quantity: want %s, got %.40q: %.20q is not a prefix", want, text, strings.TrimSpace(prefix))
	}
	return n
}

// scale multiplies a number by the factor of a prefix. It returns false if there is no such prefix.
func scale(n float64, prefix string, step float64) (float64, bool) {
	const large = "kMGTPE"
	switch prefix {
	case "":
		return n, true
	case "m":
		return n / 1e3, true
	case "u", "µ", "μ":
		return n / 1e6, true
	case "n":
		return n / 1e9, true
	case "K":
		prefix = "k"
	case "Ki":
		prefix = "ki"
	}
	if letter, binary := strings.CutSuffix(prefix, "i"); binary {
		prefix, step = letter, 1024
	}
	power := strings.Index(large, prefix) + 1
	if len(prefix) != 1 || power == 0 {
		return 0, false
	}
	return n * math.Pow(step, float64(power)), true
}

// grouped matches digits in groups. The first group does not begin with a zero: "0.123" is not 123.
var grouped = pattern.OnUse(`^[-+]?[1-9][0-9]{0,2}([., '’_\x{202f}])[0-9]{3}`)

// decimal implements decimal(mark). It converts a text with this decimal mark, a comma or a point, to a number. The digits before the
// mark may be in groups of three.
func decimal(in any, arguments []any) any {
	mark, _ := arguments[0].(string)
	if mark != "," && mark != "." {
		return fmt.Errorf(`decimal: want the decimal mark "," or ".", got %s`, gojq.Preview(arguments[0]))
	}
	want := `a number such as "` + map[string]string{",": "1.234,5", ".": "1,234.5"}[mark] + `"`
	text, v, done := quantityText("decimal", want, in)
	if done {
		return v
	}
	refused := fmt.Errorf("decimal: want %s, got %.40q", want, text)
	whole, fraction, hasFraction := strings.Cut(text, mark)
	if found := grouped().FindStringSubmatch(whole); found != nil {
		parts := strings.Split(whole, found[1])
		for _, part := range parts[1:] {
			if len(part) != 3 {
				return refused
			}
		}
		whole = strings.Join(parts, "")
	}
	if strings.Trim(whole, "+-0123456789") != "" {
		return refused
	}
	if hasFraction {
		whole += "." + fraction
	}
	n, err := strconv.ParseFloat(whole, 64)
	if err != nil || n-n != 0 || leadingNumber().FindString(whole) != whole {
		return refused
	}
	return n
}

// hex implements the function "hex". It converts hexadecimal digits, with or without 0x before them, to a number.
func hex(in any, _ []any) any {
	const want = `hexadecimal digits such as "1f" or "0x1F", at most 16`
	text, v, done := quantityText("hex", want, in)
	if done {
		return v
	}
	digits := text
	if len(text) > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		digits = text[2:]
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	switch {
	case err != nil || strings.ContainsAny(digits, "+-_"):
		return fmt.Errorf("hex: want %s, got %.40q", want, text)
	case n > math.MaxInt64:
		return new(big.Int).SetUint64(n)
	}
	return int(n)
}

// duration implements the function "duration". It converts a text such as "3d 4h", "1h2m3.5s", "2 days, 04:05:06", "3-04:05:06", "04:05:06"
// or "P3DT4H" to seconds.
func duration(in any, _ []any) any {
	const want = `a duration such as "3d 4h", "04:05:06" or "P3DT4H"`
	text, v, done := quantityText("duration", want, in)
	if done {
		return v
	}
	seconds, err := ParseDuration(text)
	if err == nil && math.IsInf(seconds, 0) {
		err = errDuration
	}
	if err != nil {
		return fmt.Errorf("duration: want %s, got %.40q%w", want, text, err)
	}
	return seconds
}

var (
	errDuration  = errors.New("")
	errUneven    = errors.New(": months and years have no fixed length")
	errTwoFields = errors.New(`: is it hours and minutes, or minutes and seconds? write . + ":00" before it, or split(":") | map(tonumber) | .[0] * 60 + .[1]`)
)

var (
	isoDuration = pattern.OnUse(`^P(?:([0-9.]+)W)?(?:([0-9.]+)D)?(?:T(?:([0-9.]+)H)?(?:([0-9.]+)M)?(?:([0-9.]+)S)?)?$`)
	clockTime   = pattern.OnUse(`^(?:([0-9]+)(?:-|T| days?,? *|d,? *))?([0-9]{1,9}):([0-5][0-9]):([0-5][0-9](?:\.[0-9]+)?)$`)
	twoFields   = pattern.OnUse(`^[0-9]+:[0-9]+$`)
	oneUnit     = pattern.OnUse(`^([0-9]+\.?[0-9]*|\.[0-9]+) *([A-Za-zµμ]+)[, ]*`)
)

// ParseDuration returns the seconds of a duration such as "3d 4h" or "04:05:06". It accepts the same texts as the function "duration".
func ParseDuration(text string) (float64, error) {
	sign := 1.0
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = -1, rest
	}
	switch {
	case strings.HasPrefix(text, "P"):
		found := isoDuration().FindStringSubmatch(text)
		if found == nil {
			return 0, errUneven
		}
		seconds, err := sum(found[1:], 7*86400, 86400, 3600, 60, 1)
		return sign * seconds, err
	case clockTime().MatchString(text):
		seconds, err := sum(clockTime().FindStringSubmatch(text)[1:], 86400, 3600, 60, 1)
		return sign * seconds, err
	case twoFields().MatchString(text):
		return 0, errTwoFields
	}
	seconds := 0.0
	if text == "" {
		return 0, errDuration
	}
	for text != "" {
		found := oneUnit().FindStringSubmatch(text)
		if found == nil {
			return 0, errDuration
		}
		n, err := strconv.ParseFloat(found[1], 64)
		factor, err2 := unitSeconds(found[2])
		if err := errors.Join(err, err2); err != nil {
			return 0, err2
		}
		seconds += n * factor
		text = text[len(found[0]):]
	}
	return sign * seconds, nil
}

// sum parses numbers, multiplies each by its factor and adds them up. A missing number counts as zero, but at least one number must be
// present.
func sum(texts []string, factors ...float64) (float64, error) {
	total, some := 0.0, false
	for i, text := range texts {
		if text == "" {
			continue
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, errDuration
		}
		total, some = total+n*factors[i], true
	}
	if !some {
		return 0, errDuration
	}
	return total, nil
}

// unitSeconds returns the length of a unit of time in seconds.
func unitSeconds(unit string) (float64, error) {
	if len(unit) > 1 {
		unit = strings.ToLower(unit)
	}
	switch unit {
	case "ns":
		return 1e-9, nil
	case "us", "µs", "μs":
		return 1e-6, nil
	case "ms", "msec", "millisecond", "milliseconds":
		return 1e-3, nil
	case "s", "S", "sec", "secs", "second", "seconds":
		return 1, nil
	case "m", "min", "mins", "minute", "minutes":
		return 60, nil
	case "h", "H", "hr", "hrs", "hour", "hours":
		return 3600, nil
	case "d", "D", "day", "days":
		return 86400, nil
	case "w", "W", "week", "weeks":
		return 7 * 86400, nil
	case "mo", "month", "months", "y", "Y", "yr", "yrs", "year", "years":
		return 0, errUneven
	}
	return 0, errDuration
}
