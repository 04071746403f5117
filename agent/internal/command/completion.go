package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/collectington/collectington/agent/internal/config"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Run shows the script that makes a shell complete the arguments of cton. The script runs the command "cton complete" to get the
// candidates.
func (c *completionCmd) Run(a *App) error {
	scripts := map[string]string{
		"bash": `# Completion for bash. For this shell: source <(cton completion bash)
# For all: cton completion bash > /etc/bash_completion.d/cton
_cton() {
	local word
	COMPREPLY=()
	while IFS=$'\t' read -r word _; do
		COMPREPLY+=("$word")
	done < <(cton complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _cton cton
`,
		"zsh": `#compdef cton
# Completion for zsh. For this shell: source <(cton completion zsh)
# For all: cton completion zsh > "${fpath[1]}/_cton"
_cton() {
	local -a found
	local word text
	while IFS=$'\t' read -r word text; do
		found+=("${word//:/\\:}:$text")
	done < <(cton complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
	if (( $#found )); then
		_describe cton found
	else
		_files
	fi
}
if [ "$funcstack[1]" = _cton ]; then
	_cton
else
	compdef _cton cton
fi
`,
		"fish": `# Completion for fish. For all shells: cton completion fish > ~/.config/fish/completions/cton.fish
function __cton
	set -l found (cton complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
	if count $found >/dev/null
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c cton -f -a '(__cton)'
`,
	}
	fmt.Fprint(a.Out, scripts[c.Shell])
	return nil
}

type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words after cton, up to the one to complete."`
}

// Run shows the candidates for the last word: a line for each candidate, with its description after a tab. If there are none, the
// shell proposes files.
func (c *completeCmd) Run(a *App, parsed *kong.Context) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	w := &completer{App: a, node: parsed.Model.Node, files: []string{"cton.yaml"}}
	for _, word := range words[:len(words)-1] {
		w.read(word)
	}
	for _, found := range w.candidates(last) {
		if strings.HasPrefix(found.word, last) {
			fmt.Fprintf(a.Out, "%s\t%s\n", found.word, found.text)
		}
	}
	return nil
}

// completer reads the words of a command line one after another, and finds candidates for the last word.
type completer struct {
	*App
	node    *kong.Node
	waiting *kong.Flag // the flag whose value is the next word; nil = none
	values  int        // number of positional arguments so far
	files   []string   // files of the configuration
	named   bool       // files were named by -c
}

type candidate struct{ word, text string }

// read processes a complete word, one before the last.
func (c *completer) read(word string) {
	if flag := c.waiting; flag != nil {
		c.waiting = nil
		c.set(flag, word)
		return
	}
	if strings.HasPrefix(word, "-") && len(word) > 1 {
		name, value, has := strings.Cut(word, "=")
		for _, f := range c.flags() {
			switch {
			case "--"+f.Name != name && (f.Short == 0 || "-"+string(f.Short) != name):
			case has:
				c.set(f, value)
			case !f.IsBool():
				c.waiting = f
			}
		}
		return
	}
	for _, child := range c.node.Children {
		if child.Name == word && c.values == 0 {
			c.node = child
			return
		}
	}
	c.values++
}

// set records the value of the flag --config; it ignores all other flags.
func (c *completer) set(flag *kong.Flag, value string) {
	if flag.Name != "config" {
		return
	}
	if !c.named {
		c.files, c.named = nil, true
	}
	c.files = append(c.files, value)
}

// flags returns the flags that are valid after the words read so far, including those of the default command.
func (c *completer) flags() (all []*kong.Flag) {
	for n := c.node; n != nil; n = n.Parent {
		all = append(all, n.Flags...)
	}
	if c.node.DefaultCmd != nil {
		all = append(all, c.node.DefaultCmd.Flags...)
	}
	return slices.DeleteFunc(all, func(f *kong.Flag) bool { return f.Hidden })
}

// candidates returns candidates for the last word. The argument begun is the part of this word that the user has already typed.
func (c *completer) candidates(begun string) (all []candidate) {
	if c.waiting != nil {
		return c.valuesOf(c.waiting.Value, c.waiting.PlaceHolder)
	}
	if strings.HasPrefix(begun, "-") {
		for _, f := range c.flags() {
			all = append(all, candidate{"--" + f.Name, sentence(f.Help)})
		}
		return all
	}
	if c.values == 0 {
		for _, child := range c.node.Children {
			if !child.Hidden {
				all = append(all, candidate{child.Name, sentence(child.Help)})
			}
		}
	}
	if n := len(c.node.Positional); n > 0 {
		p := c.node.Positional[min(c.values, n-1)]
		if c.values < n || p.IsSlice() {
			all = append(all, c.valuesOf(p, p.Name)...)
		}
	}
	return all
}

// valuesOf returns the possible values of a flag or an argument, if they are known. The name says what kind of value it is, such as
// "job".
func (c *completer) valuesOf(v *kong.Value, name string) (all []candidate) {
	for _, word := range v.EnumSlice() {
		if word != "" {
			all = append(all, candidate{word, ""})
		}
	}
	switch strings.ToLower(name) {
	case "job":
		for _, name := range c.jobs() {
			all = append(all, candidate{name, "job"})
		}
	case "kind":
		for _, e := range explanations(c.Catalogue) {
			all = append(all, candidate{e.name, e.what})
		}
	}
	return all
}

// jobs returns the names of the configuration's jobs, none if the configuration cannot be read.
func (c *completer) jobs() []string {
	if slices.Contains(c.files, "-") {
		return nil
	}
	f, err := config.Read(c.files, strings.NewReader(""))
	if err != nil {
		return nil
	}
	return f.JobNames()
}

// sentence returns the first sentence of a help text.
func sentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(strings.ReplaceAll(first, "\n", " "), ".")
}
