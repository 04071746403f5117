package legacy

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// script returns the path of the script of a class: module/class.star if that file exists, else module.star.
func (r *reader) script(module, class string) string {
	path := strings.ReplaceAll(module, ".", "/")
	if own := path + "/" + class + ".star"; class != "" && !strings.ContainsAny(class, "/.") && fs.ValidPath(own) {
		if _, err := os.Stat(filepath.Join(r.Files.Dir, own)); err == nil {
			return own
		}
	}
	return path + ".star"
}

// inGo reports whether a class is written in Go: whether the catalogue has a source with its name.
func (r *reader) inGo(class string) bool {
	for _, k := range r.Catalogue.Sources {
		if k.Name == class {
			return true
		}
	}
	return false
}

// function is a function of a script that computes a metric, and the first class and service that use it.
type function struct {
	script, metric string
	class, service string
}

// checkClasses reports a problem if two classes have the same script and a metric of the same name. One function of the script would then
// compute this metric for both classes.
func (r *reader) checkClasses(services object) {
	seen := map[[2]string]function{}
	for _, s := range services.members {
		o := object{name: services.path(s.key.Value), members: members(s.value)}
		class, module := o.value(keyClass), o.value(keyModule)
		if class == "" || module == "" || r.inGo(class) {
			continue
		}
		script := r.script(module, class)
		mapping, _ := o.get(keyMapping)
		for _, kind := range members(mapping.value) {
			for _, n := range kind.value.Content {
				key := [2]string{script, n.Value}
				first, ok := seen[key]
				switch {
				case !ok:
					seen[key] = function{script, n.Value, class, s.key.Value}
				case first.class != class && (r.Service == "" || r.Service == first.service || r.Service == s.key.Value):
					r.sharedFunction(n, join(o.path(keyMapping), kind.key.Value), first, class)
				}
			}
		}
	}
}

func (r *reader) sharedFunction(at *yaml.Node, path string, first function, class string) {
	folder := strings.TrimSuffix(first.script, ".star")
	r.bad(at, path, "%s would compute %s for two classes, %s and %s, with one function: put each class into a script of its own, %s/%s.star and %s/%s.star; "+
		"if one function is right for both, set service_class to the same name in both services", first.script, first.metric, first.class, class, folder, first.class, folder, class)
}

// value returns the text of a key, "" if the key is missing or its value is not a scalar.
func (o object) value(name string) string {
	m, ok := o.get(name)
	if !ok || m.value.Kind != yaml.ScalarNode {
		return ""
	}
	return m.value.Value
}
