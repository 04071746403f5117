package pattern

import (
	"regexp"
	"sync"
)

// OnUse returns a function that returns the regular expression expr. The first call compiles it, since compiling all expressions at the
// start would slow down every short command. The function panics if expr is not valid, as regexp.MustCompile does.
func OnUse(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
