package legacy

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// YAML is the configuration in our words, with a comment wherever there is something to decide. The file is the name of
// the old one. It means what Plan means, if it stands in the same folder.
func (t *Translation) YAML(file string) ([]byte, error) {
	root := *t.root
	level := t.LogLevel
	if level == "" {
		level = "info"
	}
	root.HeadComment = comment(fmt.Sprintf("From %s, for the folder in which that stands. Try one service with: cton try NAME", file)) + "\n" +
		comment(fmt.Sprintf("Run it with: cton --log-level %s, or one service of it with: cton -s NAME", level))
	return yaml.Dump(&root, yaml.WithQuotePreference(yaml.QuoteDouble), yaml.WithLineWidth(-1))
}
