package convert_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/convert"
)

// TestManyRules checks that the expression of a tag does not double with each rule of a processor. If it gets long nevertheless, rules are
// left out with a comment.
func TestManyRules(t *testing.T) {
	const head = "[agent]\nomit_hostname=true\n[[inputs.http]]\nurls=['http://a.example']\ndata_format='json'\n" +
		"fieldpass=['up']\ntag_keys=['a','b']\n"
	const rule = "[[processors.regex]]\n[[processors.regex.tags]]\n"
	const note = "the expression of the tag a would be too long"
	swap := strings.Repeat("[[processors.%]]\n[[processors.%.#]]\n* = 'a'\ndest = 'b'\n[[processors.%.#]]\n* = 'b'\ndest = 'a'\n", 20)
	for name, c := range map[string]struct {
		rules string
		lost  bool
	}{
		"group":      {strings.Repeat(rule+"key='a'\npattern='^(?P<a>x)'\n", 40), false},
		"result_key": {strings.Repeat(rule+"key='a'\npattern='x'\nreplacement='y'\nresult_key='a'\n", 40), false},
		"two groups": {strings.Repeat(rule+"key='a'\npattern='^(?P<b>x)'\n"+rule+"key='b'\npattern='^(?P<a>x)'\n", 20), true},
		"enum":       {strings.NewReplacer("%", "enum", "#", "mapping", "*", "tag").Replace(swap), true},
		"strings":    {strings.NewReplacer("%", "strings", "#", "lowercase", "*", "tag").Replace(swap), true},
	} {
		files := []convert.File{{Name: "telegraf.conf", Text: []byte(head + c.rules)}}
		o := convert.Options{Catalogue: agent.Catalogue(), Answers: map[string][]byte{"http": []byte(`{"up": 1, "a": "x", "b": "y"}`)}}
		result, err := convert.Convert(files, o)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(result.YAML, []byte("_up:")) || len(result.YAML) > 64<<10 || bytes.Contains(result.YAML, []byte(note)) != c.lost {
			t.Errorf("%s: %d bytes, want a metric, at most 64 KiB, and a comment: %v\n%.1000s", name, len(result.YAML), c.lost, result.YAML)
		}
		valid(t, result.YAML)
	}
}
