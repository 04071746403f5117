package starlark

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

const keys = `
secrets: {KEY: "file:keys#API_KEY", GONE: "env:NOT_SET"}
metrics: {x: {type: gauge}}
`

// TestSecret checks that a secret is read at each tick, and that no error, print or preview contains it.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(value string) {
		if err := os.WriteFile(filepath.Join(dir, "keys"), []byte(`API_KEY="`+value+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first-key")
	for call, want := range map[string]string{
		`len(secret("KEY"))`:                  "x 9\n",
		`secret("GONE")`:                      "x: test.star:2:18: get_x: secret env:NOT_SET: the environment variable NOT_SET is not set\n",
		`secret("NONE")`:                      "x: test.star:2:18: get_x: secret: \"NONE\" is not in script.secrets: add it there; with a config.json, add it to the file that secret_file_path names\n",
		`secret("KEY")`:                       "x: test.star:1:1: get_x: want a number, got the string \"<secret>\"\n",
		`fail("no", secret("KEY"))`:           "x: test.star:2:16: get_x: fail: no <secret>\n",
		`int(secret("KEY"))`:                  "x: test.star:2:15: get_x: int: invalid literal with base 10: <secret>\n",
		`{}[secret("KEY")]`:                   "x: test.star:2:14: get_x: key \"<secret>\" not in dict\n",
		`fail("x" * 495 + secret("KEY"))`:     "x: test.star:2:16: get_x: fail: " + strings.Repeat("x", 494) + "…\n",
		`"x" * 30 + secret("KEY") + "x" * 30`: "x: test.star:1:1: get_x: want a number, got a string of 69 bytes\n",
		`print("x" * 1995 + secret("KEY"))`:   "x: no reading is valid: get_x returned None; return [] if there is nothing to measure\n",
		`[1, "x" * 390, secret("KEY")]`:       "x: test.star:1:1: get_x: item 0: want one number, got a list of numbers\n",
	} {
		s, err := made(t, keys, "def get_x():\n    return "+call, nil)
		if err != nil {
			t.Fatal(err)
		}
		var shown strings.Builder
		env := &s.(*source).env
		env.Web = &httpclient.Host{Secrets: &setting.SecretStore{Dir: dir}}
		env.Show = func(section, line string) { shown.WriteString(section + ": " + line + "\n") }
		readings, err := s.Collect(t.Context(), tickAt())
		if err != nil {
			t.Fatal(err)
		}
		got := show(readings)
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", call, got, want)
		}
		for part := len("first-key"); part > 3; part-- {
			if strings.Contains(got+shown.String(), "first-key"[:part]) {
				t.Errorf("%s: shows %s\n%s%s", call, "first-key"[:part], got, &shown)
				break
			}
		}
	}

	s, err := made(t, keys, `def get_x(): return {"first-key": 1, "second-key": 2}[secret("KEY")]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).env.Web = &httpclient.Host{Secrets: &setting.SecretStore{Dir: dir}}
	for key, want := range map[string]string{"first-key": "x 1\n", "second-key": "x 2\n"} {
		write(key)
		if readings, err := s.Collect(t.Context(), tickAt()); err != nil || show(readings) != want {
			t.Errorf("%s: %v, %s", key, err, show(readings))
		}
	}
	if got := collect(t, keys, `key = secret("KEY")`, nil); got != "new: test.star:1:13: secret: cannot be used at the top level, which runs once, before any run of the job: use it in a metric's function\n" {
		t.Errorf("got %s", got)
	}
}

// TestHelpers checks the results and errors of the functions that scripts can call.
func TestHelpers(t *testing.T) {
	for expression, want := range map[string]string{
		`fetch()["big"]`: `12345678901234567890`,
		`[fetch()[k] for k in ["half", "none", "on", "total"]]`: `[0.5, None, True, 7]`,
		`type(fetch()["incidents"][0])`:                         `"dict"`,
		`mean([1, 2, 6])`:                                       `3.0`,
		`mean([])`:                                              `None`,
		`statistics.stdev([2, 4, 4, 4, 5, 5, 7, 9])`:            `2.138089935299395`,
		`statistics.stdev([5])`:                                 `None`,
		`time.parse_duration("1h30m").seconds`:                  `5400.0`,
		`time.parse_duration("PT1H30M").minutes`:                `90.0`,
		`time.parse_duration("P1W2DT0.5S")`:                     `216h0m0.5s`,
		`time.parse_duration("P1M")`:                            `parse_duration: "P1M" is not a duration such as 1h30m or PT1H30M`,
		`time.parse_duration("PT")`:                             `parse_duration: "PT" is not a duration such as 1h30m or PT1H30M`,
		`time.parse_duration("P1D2W")`:                          `parse_duration: "P1D2W" is not a duration such as 1h30m or PT1H30M`,
		`time.parse_duration("P99999999999W")`:                  `parse_duration: want at most 292 years`,
		`time.parse_duration("90")`:                             `parse_duration: "90" is not a duration such as 1h30m or PT1H30M`,
		`(time.rfc3339("2026-03-01T12:01:30Z") - time.rfc3339("2026-03-01T12:00:00Z")).seconds`: `90.0`,
		`time.strptime("2026-03-01T12:00:00+01:00", "%Y-%m-%dT%H:%M:%S%z").unix`:                `1772362800`,
		`time.strptime("2026-03-01 12:00:00 +0100", "%Y-%m-%d %H:%M:%S %z").unix`:               `1772362800`,
		`time.strptime("2026-03-01 12:00 UTC", "%Y-%m-%d %H:%M %Z").unix`:                       `1772366400`,
		`time.strptime("2026-03-01 12:00 CET", "%Y-%m-%d %H:%M %Z", "Europe/Oslo").unix`:        `1772362800`,
		`time.strptime("2026-03-01 12:00 CET", "%Y-%m-%d %H:%M %Z")`:                            `strptime: UTC has no time zone "CET": set location to a place that has it, such as Europe/Oslo`,
		`statistics.median([5, 1, 3, 4])`:                                                       `3.5`,
		`percentile([1, 2, 3, 4, 5], 90)`:                                                       `4.6`,
		`percentile([1], 101)`:                                                                  `percentile: want a number from 0 to 100 as p`,
		`mean(["a"])`:                                                                           `mean: item 0: want a number, got the string "a": write float(…)`,
		`sum([1, 2, 3])`:                                                                        `6`,
		`sum([0.5, 2], 1)`:                                                                      `3.5`,
		`sum([time.second, time.minute])`:                                                       `1m1s`,
		`sum(["a"])`:                                                                            `sum: want numbers, got the string "a"`,
		`time.now().unix`:                                                                       `1772370000`,
		`get_iso_timestamp_x_min_ago(1)`:                                                        `"2026-03-01T12:59:00Z"`,
		`get_iso_timestamp_x_min_ago(x=0.5)`:                                                    `"2026-03-01T12:59:30Z"`,
		`time.rfc3339("2026-03-01T12:00:00+01:00").unix`:                                        `1772362800`,
		`time.rfc3339("soon")`:                                                                  `rfc3339: "soon" is not an RFC 3339 time such as 2026-03-01T12:00:00Z`,
		`time.strptime("2026-03-01T12:00:00Z", "%Y-%m-%dT%H:%M:%SZ").unix`:                      `1772366400`,
		`time.strptime("2026-03-01 12:00:00.25", "%Y-%m-%d %H:%M:%S.%f").nanosecond`:            `250000000`,
		`time.strptime("2026-03-01T12:00:00+0100", "%Y-%m-%dT%H:%M:%S%z").unix`:                 `1772362800`,
		`time.strptime("01 Mar 26 01:00 PM", "%d %b %y %I:%M %p", "Europe/Oslo").unix`:          `1772366400`,
		`time.strptime("x", "%Q")`:                                                              `strptime: unknown directive %Q; supported are %Y %m %d %H %M %S %f %z %Z %b %B %a %A %y %j %I %p`,
		`time.strptime("x", "%Y", "Nowhere")`:                                                   `strptime: unknown time zone "Nowhere": want a name such as Europe/Oslo`,
		`math.floor(2.5)`:                                                                       `2`,
		`json.decode("[1]")`:                                                                    `[1]`,
		`json.encode({"a": [1]})`:                                                               `"{\"a\":[1]}"`,
		`re.search("(\\d+)-(\\d+)", "a 12-34")`:                                                 `("12-34", "12", "34")`,
		`re.match("b", "ab")`:                                                                   `None`,
		`re.findall("\\d", "1a2")`:                                                              `["1", "2"]`,
		`re.findall("(a)(b)", "abab")`:                                                          `[("a", "b"), ("a", "b")]`,
		`re.sub("(a)b", "\\1$1", "ab")`:                                                         `"a$1"`,
		`re.search("(", "")`:                                                                    "re: error parsing regexp: missing closing ): `(`",
		`"%s-%d" % ("a", 5)`:                                                                    `"a-5"`,
		`7 % 4 * 2`:                                                                             `6`,
		`[1] * 2 + 2 * [3]`:                                                                     `[1, 1, 3, 3]`,
		`", ".join(["a", "b"])`:                                                                 `"a, b"`,
		`"a{}c{x}".format("b", x = 1)`:                                                          `"abc1"`,
		`"aa".replace("a", "b", 1)`:                                                             `"ba"`,
		`re.findall("a(.)", "abac")`:                                                            `["b", "c"]`,
		`re.findall("x", "a")`:                                                                  `[]`,
		`re.search("x" * 5000, "")`:                                                             `re: the pattern exceeds 4096 bytes`,
		`re.sub("a", "b", "cac")`:                                                               `"cbc"`,
		`percentile([3, 1, 2], 0)`:                                                              `1.0`,
		`percentile([3, 1, 2], 100)`:                                                            `3.0`,
		`percentile([], 50)`:                                                                    `None`,
		`percentile([1], "a")`:                                                                  `percentile: want a number from 0 to 100 as p`,
		`statistics.mean([time.second, 2])`:                                                     `1.5`,
		`sum([])`:                                                                               `0`,
		`sum([1], 2.5)`:                                                                         `3.5`,
		`get_iso_timestamp_x_min_ago("a")`:                                                      `get_iso_timestamp_x_min_ago: want a number of minutes, got the string "a"`,
		`get_iso_timestamp_x_min_ago(1e9)`:                                                      `get_iso_timestamp_x_min_ago: want a number of minutes, got a float`,
		`time.strptime("060", "%j").unix % 86400`:                                               `0`,
		`time.strptime("x", "%")`:                                                               `strptime: the format ends with %`,
		`time.strptime("x", "1%Y")`:                                                             `strptime: the format cannot contain digits`,
		`time.strptime("x", "%f")`:                                                              `strptime: %f must follow a dot, as in %S.%f`,
		`time.strptime("x", "%Y")`:                                                              `strptime: "x" does not match the format "%Y"`,
		`set([1])`:                                                                              `set: want a number, got a list`,
		`set()`:                                                                                 `set: want a value, such as set(1)`,
		`set(1, 2)`:                                                                             `set: want one value, and labels by name, such as set(1, team = "a")`,
		`event()`:                                                                               `event: want an id: event(id, value = 1, **labels)`,
		`event("")`:                                                                             `event: want a string or number as id, got the string ""`,
		`observe([1, "a"])`:                                                                     `observe: item 1: want a number, got the string "a": write float(…)`,
		`inc()`:                                                                                 `inc(1)`,
		`observe([1, 2], a = "b")`:                                                              `observe(2 values, a = "b")`,
		`job`:                                                                                   `"test"`,
		`event("a", 2, team = "b")`:                                                             `event("a", 2, team = "b")`,
	} {
		if got := value(t, expression); !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}
