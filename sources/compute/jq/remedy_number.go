package jq

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/pattern"
)

// maxNumberText is the maximum length of a text, in bytes, for which a hint is made on how to read the number in it.
const maxNumberText = 200

var (
	hexText     = pattern.OnUse(`^0[xX][0-9a-fA-F]{1,16}$`)
	minutesText = pattern.OnUse(`^[0-9]+:[0-5][0-9]$`)
	numeral     = pattern.OnUse(`[.,]?[0-9](?:[0-9.,'’_]*[0-9])?`)
	plainNumber = pattern.OnUse(`^[0-9]+(?:\.[0-9]+)?$`)
)

// inTextRemedy returns a hint on how to read the number in a text. It proposes only what reads this text rightly, and otherwise says why the
// number is not certain.
func inTextRemedy(expression, text string) string {
	const several = "; which number in it is meant is not certain: select one with capture, and read it with decimal, quantity or duration"
	switch {
	case len(text) > maxNumberText:
		return several
	case minutesText().MatchString(text):
		return fmt.Sprintf("; for hours and minutes write %s, for minutes and seconds %s",
			pipeTo(expression, `. + ":00" | duration`), pipeTo(expression, `split(":") | map(tonumber) | .[0] * 60 + .[1]`))
	case hexText().MatchString(text):
		return "; for its number write " + pipeTo(expression, "hex")
	}
	if hint := decimalRemedy(expression, text); hint != "" {
		return hint
	}
	found := numeral().FindAllStringIndex(text, -1)
	if len(found) != 1 {
		return several
	}
	begin, end := found[0][0], found[0][1]
	before, _ := utf8.DecodeLastRuneInString(text[:begin])
	after, _ := utf8.DecodeRuneInString(text[end:])
	if unicode.IsLetter(before) || unicode.IsLetter(after) { // such as 0xff, 1e and 12k
		return several
	}
	number := text[begin:end]
	if plainNumber().MatchString(number) {
		return "; for the number in it write " + pipeTo(expression, `capture("(?<n>-?[0-9]+([.][0-9]+)?)").n`)
	}
	if hint := decimalRemedy(pipeTo(expression, `capture("(?<n>-?[0-9][0-9.,]*[0-9])").n`), number); hint != "" && strings.Trim(number, "0123456789.,") == "" {
		return hint
	}
	return several
}

// decimalRemedy returns a hint that uses the function decimal, for a text that consists of digits, marks and a sign; otherwise "". If the
// text is one number with a decimal comma and another one with a decimal point, it names both.
func decimalRemedy(expression, text string) string {
	comma, isComma := readBy(`decimal(",")`, text)
	point, isPoint := readBy(`decimal(".")`, text)
	withComma, withPoint := pipeTo(expression, `decimal(",")`), pipeTo(expression, `decimal(".")`)
	switch {
	case isComma && isPoint && comma != point:
		return fmt.Sprintf("; it is %v with a decimal comma: write %s; and %v with a decimal point: write %s", comma, withComma, point, withPoint)
	case isPoint:
		return "; for its number write " + withPoint
	case isComma:
		return "; for its number write " + withComma
	}
	return ""
}

// readBy returns the number that an expression makes of a text. It returns false if it makes none.
func readBy(expression, text string) (float64, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, code, err := jq.Compile(expression)
	if err != nil {
		return 0, false
	}
	v, err := code.One(ctx, text)
	if err != nil {
		return 0, false
	}
	n, ok := v.(float64)
	return n, ok
}
