package pattern

import (
	"regexp"
	"sync"
)

// OnUse returns a function that returns the regular expression of a constant. It is compiled at the first call: what is compiled
// at the start costs every short command time. It panics as regexp.MustCompile does.
func OnUse(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
