package setting

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// minSecret is the length from which a value is scrubbed: a shorter one would blank ordinary words and numbers.
const minSecret = 4

// maxKnown bounds each of the two generations of remembered values.
const maxKnown = 512

// blank stands where a secret stood.
const blank = "<secret>"

// known is what a vault remembers. Tokens that live for minutes would make it grow for ever, so it has two generations:
// when the young one is full it becomes the old one, and what is seen again is young again.
type known struct {
	mu         sync.RWMutex
	young, old map[string]bool
	replacer   *strings.Replacer // nil = to be made
}

// Remember marks a value as secret though it came from elsewhere: a token out of a login's reply, a literal API key. The
// value is also blanked as it stands in a query, a path, JSON and quoted text.
func (v *Vault) Remember(value string) {
	if v == nil || len(value) < minSecret {
		return
	}
	k := &v.known
	k.mu.RLock()
	fresh := !k.young[value]
	k.mu.RUnlock()
	if fresh {
		k.add(value)
	}
}

// RememberLogin marks user:password in base64, which is what basic authentication (RFC 7617) sends of a password.
func (v *Vault) RememberLogin(user, password string) {
	v.Remember(password)
	v.Remember(base64.StdEncoding.EncodeToString([]byte(user + ":" + password)))
}

// credential is what proves who asks in the value of an Authorization header (RFC 9110, section 11.4): the key in "Token
// token=key" or in "Bearer key".
var credential = regexp.MustCompile(`^(?:[A-Za-z][\w-]* +)?(?:[A-Za-z][\w-]*=)?"?([^\s"=]+=*)"?$`)

// rememberRead marks a secret that was read. Of one that is a whole header a server may tell the key alone.
func (v *Vault) rememberRead(value string) {
	v.Remember(value)
	if parts := credential.FindStringSubmatch(value); parts != nil {
		v.Remember(parts[1])
	}
}

// Scrub replaces every known secret in text by <secret>.
func (v *Vault) Scrub(text string) string {
	if v == nil {
		return text
	}
	return v.known.withoutCut(v.known.ready().Replace(text))
}

// withoutCut blanks the beginning of a secret that whoever made the text has cut off, as jq does in its errors.
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

// all is every form of every known value.
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

// ready is the replacer, made anew where values have come since it was made.
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
	// Where two secrets begin alike the replacer takes the first, so the longest goes first and is blanked whole.
	sorted := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(sorted))
	for _, form := range sorted {
		pairs = append(pairs, form, blank)
	}
	k.replacer = strings.NewReplacer(pairs...)
	return k.replacer
}

// forms are the ways in which a value can stand in a message.
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
		for _, text := range []string{text, inASCII(text)} { // as PHP and Python have it
			all = append(all, text, strings.ReplaceAll(text, "/", `\/`))
		}
	}
	return all
}

// inASCII is a text of JSON with all other characters escaped (RFC 8259, section 7).
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
