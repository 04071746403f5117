package setting

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// minSecret is the minimum length of a secret that is removed. A shorter one would remove ordinary words and numbers.
const minSecret = 4

// maxKnown is the maximum number of values in each of the two generations.
const maxKnown = 512

// blank replaces a secret.
const blank = "<secret>"

// known holds the values to remove. Two generations bound its size, since tokens may change every few minutes: when the
// young generation is full, it replaces the old one. A value that is seen again is young again.
type known struct {
	mu         sync.RWMutex
	young, old map[string]bool
	replacer   *strings.Replacer // nil after a change
}

// withoutCut replaces the beginning of a secret before an ellipsis. Libraries cut long values in their errors, as jq does.
func (k *known) withoutCut(text string) string {
	var all []string
	for _, mark := range []string{" ...", "…"} {
		for from := 0; ; {
			n := strings.Index(text[from:], mark)
			if n < 0 {
				break
			}
			if all == nil {
				all = k.all()
			}
			end := from + n
			before := strings.TrimRight(text[:end], "\"\\")
			begin := len(before)
			for _, form := range all {
				for size := min(len(form), len(before)); size > len(before)-begin && size >= minSecret; size-- {
					if strings.HasSuffix(before, form[:size]) {
						begin = len(before) - size
					}
				}
			}
			if begin < len(before) {
				text = text[:begin] + blank + text[len(before):]
				end += begin + len(blank) - len(before)
			}
			from = end + len(mark)
		}
	}
	return text
}

// all returns every form of every known value.
func (k *known) all() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var all []string
	for _, generation := range []map[string]bool{k.young, k.old} {
		for value := range generation {
			all = append(all, forms(value)...)
		}
	}
	return all
}

func (k *known) add(value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= maxKnown {
		k.old, k.young = k.young, map[string]bool{}
	}
	k.young[value] = true
	k.replacer = nil
}

// ready returns the replacer, and builds it after a change.
func (k *known) ready() *strings.Replacer {
	k.mu.RLock()
	replacer := k.replacer
	k.mu.RUnlock()
	if replacer != nil {
		return replacer
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string]bool{}
	for _, generation := range []map[string]bool{k.young, k.old} {
		for value := range generation {
			for _, form := range forms(value) {
				all[form] = true
			}
		}
	}
	// The replacer takes the first pair that matches, so the longest form comes first and is replaced whole.
	sorted := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(sorted))
	for _, form := range sorted {
		pairs = append(pairs, form, blank)
	}
	k.replacer = strings.NewReplacer(pairs...)
	return k.replacer
}

// forms returns the forms that a value can have in a message.
func forms(value string) []string {
	all := []string{value, url.QueryEscape(value), url.PathEscape(value), unquote(strconv.Quote(value))}
	if text, err := json.Marshal(value); err == nil {
		all = append(all, unquote(string(text)))
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err == nil {
		text := unquote(strings.TrimSpace(plain.String()))
		for _, text := range []string{text, inASCII(text)} { // as PHP and Python write it
			all = append(all, text, strings.ReplaceAll(text, "/", `\/`))
		}
	}
	return all
}

// inASCII returns a JSON string with all characters beyond ASCII escaped (RFC 8259, section 7).
func inASCII(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

func unquote(s string) string { return s[1 : len(s)-1] }
