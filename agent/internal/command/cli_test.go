package command

import "testing"

// TestParserKnowsOneCommand checks that the parser knows all sub-commands only if it needs them.
func TestParserKnowsOneCommand(t *testing.T) {
	all := len(new(commands).all())
	for first, want := range map[string]int{"once": 1, "state": 1, "man": all, "complete": all, "onec": all, "--help": all, "": all} {
		var c cli
		var args []string
		if first != "" {
			args = []string{first, "job"}
		}
		parser, err := c.parser(args)
		if err != nil || len(parser.Model.Children) != want {
			t.Errorf("%q: the parser knows %d sub-commands, want %d (%v)", first, len(parser.Model.Children), want, err)
		}
	}
}
