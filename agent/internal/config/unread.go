package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/text"
)

// maxLooked is how many files and folders within a directory are looked at for configuration files that are not read.
const maxLooked = 2000

// unread looks at the folders in a directory that the command line names. It returns a warning for each folder with configuration files
// that are not read: the directory stands only for the files directly in it. Folders whose names begin with a dot are left out: they
// belong to editors, to git or to the links of a ConfigMap.
func (l *loader) unread(dir string) (all []Warning) {
	if dir == "-" || !isDir(dir) {
		return nil
	}
	looked := 0
	var in []string // the folder's files that are not read
	warn := func(folder string) {
		if len(in) > 0 {
			all = append(all, Warning{
				Place:  text.OneLine(folder),
				Text:   "has configuration files that are not read (" + text.OneLine(text.List(in, 3)) + "): -c reads the files of a directory, not those of its folders",
				Remedy: "add -c " + text.OneLine(folder) + ", include them in a file that is read, or move them elsewhere",
			})
		}
		in = nil
	}
	var walk func(folder string)
	walk = func(folder string) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return // what cannot be read is not known to be a configuration
		}
		var folders []string
		for _, e := range entries {
			path := filepath.Join(folder, e.Name())
			if looked++; looked > maxLooked || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			switch {
			case e.IsDir() || e.Type()&fs.ModeSymlink != 0 && folder == dir && isDir(path): // a link deeper down could lead back
				folders = append(folders, path)
			case folder != dir && l.isUnread(path):
				in = append(in, e.Name())
			}
		}
		warn(folder)
		for _, f := range folders {
			walk(f)
		}
	}
	walk(dir)
	return all
}

// isUnread reports whether a file looks like a configuration and is not read.
func (l *loader) isUnread(path string) bool {
	if !isYAML(path) || !l.isRegular(path) {
		return false
	}
	if real, err := filepath.EvalSymlinks(path); err != nil || l.seen[absolute(real)] {
		return false
	}
	data, err := ReadFile(path, nil)
	return err == nil && isOurs(data)
}

// isOurs reports whether all keys at the top level of a text are settings of cton, and at least one of them is typical of a configuration
// in several files. Files of other programs, such as compose.yaml and values.yaml, have some of these keys, but also other keys.
func isOurs(data []byte) bool {
	known, typical := settingsAt(reflect.TypeFor[topLevel](), ""), false
	for _, key := range regexp.MustCompile(`(?m)^"?([\w.-]+)"?[ \t]*:`).FindAllSubmatch(data, -1) {
		switch name := string(key[1]); name {
		case "jobs", "sinks", "auth", "defaults", "external_labels", "include":
			typical = true
		default:
			if !slices.Contains(known, name) && !isExtension(name) {
				return false
			}
		}
	}
	return typical
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
