package convert

import (
	"math"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// secretName reports whether a header, parameter or variable with this name can contain a secret.
func secretName(name string) bool {
	return regexp.MustCompile(`(?i)auth|key|token|secret|pass|pwd|cookie|session|credential|signature|\bsig\b|jwt|private|bearer`).MatchString(name)
}

// plainHeader reports whether a header with this name never contains a secret. Other headers can.
func plainHeader(name string) bool {
	return regexp.MustCompile(`(?i)^(accept|content|user-agent|cache|range|origin|host|referer|pragma|x-requested|x-forwarded)|tenant|org|scope|client|version|format|lang|encoding`).MatchString(name) && !secretName(name)
}

// secretText reports whether a value looks like a secret: credentials with their scheme, a password after its name, or a
// long word of letters and digits.
func secretText(value string) bool {
	if regexp.MustCompile(`(?i)\b(bearer|basic)\s+\S{4}|\btoken\s+[\w.-]*\d|(password|passwd|pwd|secret|token|api_?key|credential)s?["']?\s*[=:]\s*["']?\S`).MatchString(value) {
		return true
	}
	for _, w := range strings.FieldsFunc(value, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-+/=", r)
	}) {
		if random(w) {
			return true
		}
	}
	return false
}

// random reports whether a word looks like a generated key: it is long and has no structure that people would write.
func random(w string) bool {
	if len(w) < 20 || strings.Count(w, "/") > 1 || strings.Count(w, "-") > 3 && !regexp.MustCompile(`^[0-9a-f-]{36}$`).MatchString(w) {
		return false
	}
	counts, digits := map[rune]float64{}, 0
	for _, r := range w {
		counts[r]++
		if unicode.IsDigit(r) {
			digits++
		}
	}
	entropy := 0.0
	for _, n := range counts {
		p := n / float64(len([]rune(w)))
		entropy -= p * math.Log2(p)
	}
	return digits > 1 && entropy > 3
}

// reference returns a reference to an environment variable. The user must set this variable to the secret.
func reference(parts ...string) string {
	name := strings.ToUpper(strings.Join(parts, "_"))
	name = strings.Trim(regexp.MustCompile(`[^A-Z0-9]+`).ReplaceAllString(name, "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "CTON_" + name
	}
	return "env:" + name
}

// address is a URL without the parts that can be secret.
type address struct {
	url            string
	query          *yaml.Node // parameters whose values are references
	user, password string     // password is a reference
	notes          []note
}

// split removes the credentials from a URL. It returns false if the text is not a URL, or if the path can contain a secret.
func split(raw, job string, line int) (a address, ok bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return address{}, false
	}
	a.query = object()
	if u.User != nil {
		password, has := u.User.Password()
		a.user = u.User.Username()
		if !has || secretText(a.user) {
			a.user = ""
		}
		if password != "" || has || a.user == "" {
			a.password = reference(job, "password")
			say(&a.notes, line, "url", "the password of the address is not copied: set %s", strings.TrimPrefix(a.password, "env:"))
		}
		u.User = nil
	}
	if u.RawQuery != "" && (secretName(u.RawQuery) || secretText(u.RawQuery)) {
		a.query = splitQuery(u, &a, job, line)
	}
	u.Fragment = ""
	if secretText(u.Path) {
		return address{}, false
	}
	a.url = u.String()
	return a, true
}

// splitQuery removes the parameters that can be secret from a URL's query, and returns them as references.
func splitQuery(u *url.URL, a *address, job string, line int) *yaml.Node {
	query := object()
	var kept []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		plainName, err := url.QueryUnescape(name)
		plainValue, err2 := url.QueryUnescape(value)
		if err == nil && err2 == nil && !secretName(plainName) && !secretText(plainValue) {
			kept = append(kept, part)
			continue
		}
		if err != nil || secretText(plainName) {
			say(&a.notes, line, "url", "a parameter of the address is not copied, since it can be a secret")
			continue
		}
		ref := reference(job, plainName)
		put(query, plainName, ref)
		say(&a.notes, line, "url", "the parameter %s is not copied: set %s", word(plainName), strings.TrimPrefix(ref, "env:"))
	}
	u.RawQuery = strings.Join(kept, "&")
	return query
}

// publicNote is the text of a note about a label whose value is not copied as a whole.
const publicNote = "the label has the address without the parts that can be secret"

// publicLabel returns the value of a label without the parts of an address that can be secret. It adds a note if it leaves something out.
func (o *output) publicLabel(notes *[]note, line int, name, value string) string {
	public, changed := publicValue(value)
	if changed {
		o.lose(notes, line, name, publicNote)
	}
	return public
}

// publicValue returns the value of a label. If the value is an address, its password and secret parameters are left out. The result is ""
// if an address cannot be read. The result "changed" reports whether something was left out.
func publicValue(value string) (public string, changed bool) {
	if !strings.ContainsAny(value, "?@") {
		return value, false
	}
	whole := withScheme(value)
	u, err := url.Parse(whole)
	if err != nil {
		return "", true
	}
	_, password := u.User.Password()
	login := password || u.User != nil && whole == value // without a scheme, a@b.example is a mail address
	if u.Host == "" || !login && !secretName(u.RawQuery) && !secretText(u.RawQuery) {
		return value, false
	}
	a, ok := split(whole, "", 0)
	if !ok {
		return "", true
	}
	if whole != value {
		return strings.TrimPrefix(a.url, "http://"), true
	}
	return a.url, a.url != value
}

// escapeTemplate escapes a text for a setting that is a template.
func escapeTemplate(s string) string { return strings.ReplaceAll(s, "{{", `{{ "{{" }}`) }

// substituted reports whether a text contains a variable that the old tool would have replaced by its value.
func substituted(s string) bool {
	return regexp.MustCompile(`\$\{[A-Za-z_][^}]*\}|\$[A-Z_][A-Z0-9_]{2,}|%\{[A-Za-z_]+\}|@\{[^}]+\}`).MatchString(s)
}
