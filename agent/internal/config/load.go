package config

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 4 << 20

// ReadFile reads the text of a configuration file; "-" is standard input.
func ReadFile(path string, stdin io.Reader) ([]byte, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %s", path, setting.Bytes(maxFile))
	}
	return text, err
}

// Load reads and checks a configuration. The error, if any, is Problems.
func Load(file string, text []byte, catalogue Catalogue) (*Plan, error) {
	doc, err := Parse(file, text)
	if err != nil {
		return nil, err
	}
	return doc.Plan(doc.Root, catalogue, nil)
}

// reader reads one file.
type reader struct {
	*Document
	catalogue Catalogue
	problems  Problems
	sinkNames []string        // all that the file has, those with problems included
	authNames []string        // likewise
	meant     map[string]bool // settings that a mistyped name was taken to mean, by path
}

func (r *reader) bad(n *yaml.Node, path, format string, args ...any) {
	r.problems = append(r.problems, r.Problem(n, path, fmt.Sprintf(format, args...)))
}

// validate runs a kind's own check. The node is what the settings were read from.
func (r *reader) validate(n *yaml.Node, key *yaml.Node, path string, v interface{ Validate() error }) {
	for _, p := range setting.Problems(v.Validate()) {
		at := key
		if p.Path != "" {
			if found := find(n, p.Path); found != n {
				at = found
			}
		}
		r.bad(at, join(path, p.Path), "%s", p.Text)
	}
}

// top are the settings of a file that stand at its top.
type top struct {
	External    map[string]string `yaml:"external_labels"`
	Concurrency int               `yaml:"concurrency"`
	StateFile   string            `yaml:"state_file"`
	Auth        yaml.Node         `yaml:"auth"`
	Sinks       yaml.Node         `yaml:"sinks"`
	Jobs        yaml.Node         `yaml:"jobs"`
}

// defaultConcurrency is how many ticks may be under way at once.
const defaultConcurrency = 64

func (r *reader) plan(root *yaml.Node) *Plan {
	t := top{Concurrency: defaultConcurrency}
	r.load(root, "", &t)
	if len(r.problems) > 0 && t.Jobs.IsZero() && t.Sinks.IsZero() {
		return nil
	}
	plan := &Plan{External: t.External, Concurrency: t.Concurrency, StateFile: t.StateFile}
	if t.Concurrency < 1 {
		r.bad(find(root, "concurrency"), "concurrency", "want at least 1")
	}
	r.externalLabels(root, t.External)
	r.auth(plan, &t.Auth)
	r.sinks(plan, &t.Sinks)
	r.jobs(plan, &t.Jobs)
	if len(r.problems) == 0 {
		r.collisions(plan, root)
	}
	return plan
}

func (r *reader) externalLabels(root *yaml.Node, labels map[string]string) {
	name := regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	for label, value := range labels {
		path := "external_labels." + label
		switch n := find(root, path); {
		case !name.MatchString(label) || strings.HasPrefix(label, "__"):
			r.bad(n, path, "%q is no label name", label)
		case value == "":
			r.bad(n, path, "an empty value is no label")
		case label == "job":
			r.bad(n, path, "the label job is the job's name")
		}
	}
}
