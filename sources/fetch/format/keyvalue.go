package format

import (
	"bytes"
	"fmt"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// maxKeys is the maximum number of keys of all objects together.
const maxKeys = 250_000

// keyValues decodes lines that have a key, a separator and a value. The result is an object, or with keyvalue.blocks a list of objects
// that are separated by empty lines. Values are strings; spaces, tabs and quotes around them are removed. Lines that begin with # are
// skipped.
func (d *Decoder) keyValues(text []byte) error {
	lines := bytes.Count(text, []byte("\n")) + 1
	d.built.Reset(2*min(lines, maxKeys), len(text))
	set := d.set.KeyValue
	if set.Blocks {
		d.built.Begin(document.Array)
	}
	seen, open := map[string]int{}, !set.Blocks
	if open {
		d.built.Begin(document.Object)
	}
	keys, line := 0, 0
	for each := range bytes.Lines(text) {
		line++
		each = bytes.TrimSpace(each)
		switch {
		case len(each) == 0 && set.Blocks && open:
			d.built.End()
			clear(seen)
			open = false
		case len(each) == 0 || each[0] == '#':
		default:
			if !open {
				d.built.Begin(document.Object)
				open = true
			}
			if keys++; keys > maxKeys {
				return fmt.Errorf("has more than %d keys", maxKeys)
			}
			if err := d.keyValue(each, line, seen); err != nil {
				return err
			}
		}
	}
	if open {
		d.built.End()
	}
	if set.Blocks {
		d.built.End()
	}
	return nil
}

// keyValue adds the key and the value of a line. The map "seen" has the line number of each key of the object. The argument "text" has no
// spaces at its ends.
func (d *Decoder) keyValue(text []byte, line int, seen map[string]int) error {
	set := d.set.KeyValue
	key, value, found := bytes.Cut(text, []byte(set.Separator))
	key, value = bytes.TrimSpace(key), bytes.TrimSpace(value)
	switch first, again := seen[string(key)]; {
	case !found:
		return inLine(line, "has no %q (keyvalue.separator): %s", string(set.Separator), sources.Excerpt(text, 40))
	case len(key) == 0:
		return inLine(line, "has no key before %q: %s", string(set.Separator), sources.Excerpt(text, 40))
	case again && set.Blocks:
		return inLine(line, "duplicate key %s, first in line %d", sources.Excerpt(key, 40), first)
	case again:
		return inLine(line, "duplicate key %s, first in line %d: set keyvalue.blocks if empty lines separate several objects", sources.Excerpt(key, 40), first)
	}
	seen[string(key)] = line
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	d.built.Text(key)
	d.built.Text(value)
	return nil
}
