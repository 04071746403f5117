package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// field is one field of cron text. Its check comes before the cron library's, which takes *-5 for *, takes an empty list for
// a field that never matches, and does not speak to the person who wrote the text.
type field struct {
	name     string
	low      int
	high     int
	names    string // three-letter names from low on, one space between two
	sundayAt int    // a number just above high that stands for low, or 0
}

// fieldsOf returns the fields of a schedule of five or six, in the order in which they are written.
func fieldsOf(n int) []field {
	all := []field{
		{name: "second", high: 59},
		{name: "minute", high: 59},
		{name: "hour", high: 23},
		{name: "day of month", low: 1, high: 31},
		{name: "month", low: 1, high: 12, names: "jan feb mar apr may jun jul aug sep oct nov dec"},
		{name: "day of week", high: 6, names: "sun mon tue wed thu fri sat", sundayAt: 7},
	}
	return all[len(all)-n:]
}

// check reads a field's text and returns it in a form that means the same to the library.
func (f field) check(text string) (string, error) {
	items := strings.Split(text, ",")
	for i, item := range items {
		if item == "" {
			return "", fmt.Errorf("%s %q has a comma with nothing beside it", f.name, text)
		}
		checked, err := f.item(item)
		if err != nil {
			return "", err
		}
		items[i] = checked
	}
	return strings.Join(items, ","), nil
}

// item checks one item of the list: * or a number or a range, and a step.
func (f field) item(text string) (string, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var err error
		if step, err = f.step(stepText); err != nil {
			return "", err
		}
	}
	if span == "*" || span == "?" {
		return text, nil
	}
	from, to, ranged := strings.Cut(span, "-")
	if from == "*" || from == "?" {
		return "", fmt.Errorf("%s %q is both a range and %s", f.name, text, from)
	}
	if from == "" || ranged && (to == "" || strings.Contains(to, "-")) {
		return "", fmt.Errorf("%s %q is neither a number nor a range such as %d-%d", f.name, text, f.low+1, f.low+5)
	}
	low, err := f.number(from)
	if err != nil {
		return "", err
	}
	high := low
	if ranged {
		if high, err = f.number(to); err != nil {
			return "", err
		}
	}
	if high < low {
		return "", fmt.Errorf("%s %s goes backwards; split it, as in %s", f.name, span, f.around(low, high))
	}
	if high <= f.high {
		return text, nil
	}
	return f.folded(low, high, step), nil
}

// folded writes out a range that reaches the second number of Sunday, which the library does not know.
func (f field) folded(low, high, step int) string {
	var out []string
	for n := low; n <= high; n += step {
		out = append(out, strconv.Itoa(n%f.sundayAt))
	}
	return strings.Join(out, ",")
}

// around returns how to write a range that runs over the end of the field.
func (f field) around(low, high int) string {
	part := func(a, b int) string {
		if a == b {
			return strconv.Itoa(a)
		}
		return fmt.Sprintf("%d-%d", a, b)
	}
	return part(low, f.high) + "," + part(f.low, high)
}

// step reads what comes after the slash. A step longer than the field is refused: */90 as a minute would be every hour.
func (f field) step(text string) (int, error) {
	n, err := count(text)
	size := f.high - f.low + 1
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s step %q is not a number", f.name, text)
	case n == 0:
		return 0, fmt.Errorf("%s step %s would never move on", f.name, text)
	case n > size:
		return 0, fmt.Errorf("%s step %s is above %d, the number of values of that field", f.name, text, size)
	}
	return n, nil
}

// number reads a number or a name.
func (f field) number(text string) (int, error) {
	if at := strings.Index(f.names, strings.ToLower(text)); at >= 0 && at%4 == 0 && len(text) == 3 {
		return f.low + at/4, nil
	}
	n, err := count(text)
	switch {
	case err != nil && f.names != "":
		return 0, fmt.Errorf("%s %q is neither a number nor one of %s", f.name, text, strings.ReplaceAll(f.names, " ", ", "))
	case err != nil:
		return 0, fmt.Errorf("%s %q is not a number", f.name, text)
	case n < f.low:
		return 0, fmt.Errorf("%s %s is below %d", f.name, text, f.low)
	case n > max(f.high, f.sundayAt):
		return 0, fmt.Errorf("%s %s is above %d", f.name, text, max(f.high, f.sundayAt))
	}
	return n, nil
}

// count reads digits and nothing else: no sign, no blank. A number too long for an int is as good as any large one.
func count(text string) (int, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, errors.New("not a number")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1 << 30, nil
	}
	return n, nil
}
