package exposition

import "bytes"

// unindent removes the blanks before each line of a page in the text format, which has none: a sample would otherwise get a name that
// begins with blanks, and lose its type. The result isIndented is false if there are no such blanks.
func unindent(page []byte) (plain []byte, isIndented bool) {
	const blanks = " \t"
	if !bytes.HasPrefix(page, []byte(" ")) && !bytes.HasPrefix(page, []byte("\t")) && !bytes.Contains(page, []byte("\n ")) && !bytes.Contains(page, []byte("\n\t")) {
		return page, false
	}
	isText := false // the line begins within a label value
	for line := range bytes.Lines(page) {
		if !isText {
			line = bytes.TrimLeft(line, blanks)
		}
		plain = append(plain, line...)
		if isText || !bytes.HasPrefix(line, []byte("#")) {
			isText = isText != opensText(line)
		}
	}
	return plain, true
}

// opensText reports whether the number of quotation marks in a part of a page is odd, those after a backslash not counted.
func opensText(part []byte) (odd bool) {
	for i := 0; i < len(part); i++ {
		switch part[i] {
		case '\\':
			i++
		case '"':
			odd = !odd
		}
	}
	return odd
}
