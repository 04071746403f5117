package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Limits for the size of a configuration.
const (
	maxFile  = 4 << 20  // bytes of one file
	maxTotal = 64 << 20 // bytes of all files
	maxFiles = 10_000
)

// ReadFile reads the text of a configuration file. If path is "-", it reads standard input.
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

// Dir returns the folder that the relative paths of a configuration start from. It is the folder of the file
// that is named first, or the first path itself if it is a folder.
func Dir(paths []string) string {
	if len(paths) == 0 {
		return "."
	}
	if isDir(paths[0]) {
		return filepath.Clean(paths[0])
	}
	return filepath.Dir(paths[0])
}

// Read reads and merges the files of a configuration. A path is a file, "-" for standard input, or a directory. A directory stands for
// its files *.yaml and *.yml, sorted by name. The setting "include" of a file names further files. Each file is read only once. If two
// files set something differently, the method Plan reports a problem. Plan also reports a syntax error in a file that has only jobs,
// unless the plan is for another job (see Only). A returned error has the type Problems if it is about the text of a file.
func Read(paths []string, stdin io.Reader) (*File, error) {
	l := &loader{stdin: stdin, dir: Dir(paths), seen: map[string]bool{}}
	for _, path := range paths {
		if err := l.path(path); err != nil {
			return nil, err
		}
	}
	if len(l.files) == 0 {
		l.problems = append(l.problems, l.empty...)
	}
	if len(l.problems) > 0 && !l.onlyJobsMissing() {
		for _, w := range l.wrong {
			l.problems = append(l.problems, w.file.Problem(w.node, w.path, w.text))
		}
		return nil, l.problems
	}
	out := l.merge()
	out.broken = l.problems
	for _, path := range paths {
		out.unread = append(out.unread, l.unread(path)...)
	}
	return out, nil
}

// loader reads the files of a configuration.
type loader struct {
	stdin    io.Reader
	dir      string
	seen     map[string]bool // real paths of the files read
	total    int             // size of the files read, in bytes
	files    []*File         // one File for each file read
	problems Problems        // syntax errors in the files
	wrong    []include       // entries of the setting "include" that have problems
	idle     []include       // entries of the setting "include" that match no file
	empty    Problems        // problems of files without settings; they only matter if no file has settings
	origins  []Origin

	broken []string // texts of the files with syntax errors
}

// onlyJobsMissing reports whether the files with syntax errors have only jobs. In that case, everything that the jobs in other files
// can need was read.
func (l *loader) onlyJobsMissing() bool {
	other := regexp.MustCompile(`(?m)^[^\s#]`)
	jobs := regexp.MustCompile(`(?m)^(jobs[ \t]*:|---)`)
	for _, text := range l.broken {
		if len(other.FindAllString(text, -1)) != len(jobs.FindAllString(text, -1)) {
			return false
		}
	}
	return len(l.files) > 0 && len(l.wrong) == 0
}

// include is an entry of the setting "include", and what is wrong with the entry.
type include struct {
	file       *File
	node       *yaml.Node
	path, text string
}

// path reads the file or directory that an argument of the command line names.
func (l *loader) path(path string) error {
	info, err := os.Stat(path)
	if path == "-" || err != nil || !info.IsDir() {
		return l.file(path)
	}
	for _, pattern := range filesOf(path) {
		l.origins = append(l.origins, patternOrigin(pattern))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		name := e.Name()
		if !isYAML(name) || strings.HasPrefix(name, ".") {
			continue
		}
		file := filepath.Join(path, name)
		if isDir(file) {
			continue
		}
		if found = true; !l.isRegular(file) {
			return fmt.Errorf("%s is not a regular file: name a file or a folder", file)
		}
		if err := l.file(file); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	if folders := l.unread(path); len(folders) > 0 {
		return fmt.Errorf("the directory %s has no files *.yaml or *.yml of its own; name the folder in it that has some: -c %s", path, folders[0].Place)
	}
	return fmt.Errorf("the directory %s has no files *.yaml or *.yml", path)
}

// isRegular reports whether a file is a regular file. Reading another file, such as a pipe, could block forever. If the file
// cannot be examined, isRegular returns true, and reading the file returns the error.
func (l *loader) isRegular(path string) bool {
	info, err := os.Stat(path)
	return err != nil || info.Mode().IsRegular()
}

// file reads a file and the files that it includes, unless the file was read before.
func (l *loader) file(path string) error {
	key := path
	if path != "-" {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			key = absolute(real)
		}
	}
	if l.seen[key] {
		return nil
	}
	if l.seen[key] = true; len(l.seen) > maxFiles {
		return fmt.Errorf("the configuration has more than %d files", maxFiles)
	}
	data, err := ReadFile(path, l.stdin)
	l.origins = append(l.origins, fileOrigin(path, data, err))
	if err != nil {
		return err
	}
	if l.total += len(data); l.total > maxTotal {
		return fmt.Errorf("the files of the configuration are larger than %s", setting.Bytes(maxTotal))
	}
	f, err := Parse(path, data)
	if problems, ok := errors.AsType[Problems](err); ok {
		if strings.HasSuffix(problems[0].Text, emptyFile) {
			l.empty = append(l.empty, problems...)
			return nil
		}
		l.problems, l.broken = append(l.problems, problems...), append(l.broken, string(data))
		return nil
	}
	l.files = append(l.files, f)
	return l.include(f, path)
}

// include reads the files that a file includes.
func (l *loader) include(f *File, path string) error {
	_, list := child(f.Root, "include")
	list = resolve(list)
	if list == nil {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		l.wrong = append(l.wrong, include{f, list, "include", `want a list of files or patterns, such as [jobs/*.yaml]`})
		return nil
	}
	for i, n := range list.Content {
		n = resolve(n)
		at := func(text string) include { return include{f, list.Content[i], "include." + strconv.Itoa(i), text} }
		bad := func(format string, args ...any) { l.wrong = append(l.wrong, at(fmt.Sprintf(format, args...))) }
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			bad(`want a file or a pattern, such as jobs/*.yaml`)
			continue
		}
		full := n.Value
		if !filepath.IsAbs(full) {
			full = filepath.Join(filepath.Dir(path), full)
		}
		l.origins = append(l.origins, patternOrigin(full))
		found, err := included(n.Value, full)
		switch {
		case err != nil:
			bad("%v", err)
		case len(found) == 0 && !isEmptyDropIn(full):
			l.idle = append(l.idle, at("matches no file"))
		}
		for _, file := range found {
			if !l.isRegular(file) {
				bad("%s is not a regular file: name a file or a pattern, such as jobs/*.yaml", file)
			} else if err := l.file(file); err != nil {
				return fmt.Errorf("include of %s: %w", text.OneLine(path), err)
			}
		}
	}
	return nil
}

// included returns the files that match a pattern. The argument "full" is the pattern as a path from the working directory. It is no
// error if a pattern with wildcards matches no file.
func included(pattern, full string) ([]string, error) {
	if err := sources.CheckPattern(pattern); err != nil {
		return nil, err
	}
	found, err := sources.Glob(full)
	if err != nil || len(found) > 0 {
		return found, err
	}
	if !strings.ContainsAny(pattern, `*?[`) {
		return nil, fmt.Errorf("there is no file %s", full)
	}
	folder := filepath.Dir(full)
	if _, err := os.Stat(folder); err != nil && !strings.ContainsAny(folder, `*?[`) {
		return nil, fmt.Errorf("there is no folder %s", folder)
	}
	return nil, nil
}

// isEmptyDropIn looks at a pattern that matches no file. It reports whether the pattern is meant for a folder to which files will be
// added later, so that it is not a mistake. Three conditions must be met. The folder must exist. The folder must have nothing that a
// slightly different pattern would match. The pattern must be able to match a YAML file.
func isEmptyDropIn(pattern string) bool {
	folder, deep := filepath.Dir(pattern), false
	for strings.ContainsAny(folder, `*?[`) {
		folder, deep = filepath.Dir(folder), true
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".")
		if !hidden && (isYAML(e.Name()) || deep && isDir(filepath.Join(folder, e.Name()))) {
			return false
		}
	}
	return isYAML(pattern) || strings.ContainsAny(filepath.Ext(pattern), `*?[`) || filepath.Ext(pattern) == ""
}

// isYAML reports whether a file is a YAML file, judging by its name.
func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// merge merges the files into one File.
func (l *loader) merge() *File {
	out := &File{moved: map[*yaml.Node]bool{}, origins: l.origins}
	m := merger{File: out}
	base := absolute(l.dir)
	for _, f := range l.files {
		p := part{name: f.parts[0].name, before: len(out.lines)}
		p.prefix = prefix(base, absolute(filepath.Dir(p.name)))
		out.parts = append(out.parts, p)
		out.lines = append(out.lines, f.lines...)
		shift(f.Root, p.before)
	}
	for _, f := range l.files {
		m.add(f.Root)
	}
	out.Root = m.root
	for _, w := range l.wrong {
		m.bad(w.node, w.path, "%s", w.text)
	}
	for _, i := range l.idle {
		out.unread = append(out.unread, out.warning(out.Problem(i.node, i.path, ""), i.text, "correct the pattern, or remove it"))
	}
	return out
}

// prefix returns the path from the directory "base" to the directory "folder", or "" if they are the same. A path that is relative to
// "folder" becomes relative to "base" when it is appended to the result.
func prefix(base, folder string) string {
	rel, err := filepath.Rel(base, folder)
	switch {
	case rel == ".":
		return ""
	case err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)):
		return folder // a path with .. could be wrong, since a folder in it can be a symbolic link
	}
	return rel
}

func absolute(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return full
}

// shift adds lines to the line numbers of a node and of all nodes within it.
func shift(n *yaml.Node, lines int) {
	if lines == 0 {
		return
	}
	n.Line += lines
	for _, c := range n.Content {
		shift(c, lines)
	}
}

// merger merges the top-level settings of files.
type merger struct {
	*File
	root *yaml.Node
}

// depths returns how many levels deep each top-level setting is merged. A setting that is not listed is one value. An entry
// of jobs, sinks or auth must be in one file: a part of a job in another file would be easy to overlook.
func depths() map[string]int {
	return map[string]int{"jobs": 1, "sinks": 1, "auth": 1, "external_labels": 1, "defaults": maxMergeDepth}
}

// maxMergeDepth is how many levels deep defaults are merged. There must be a limit, since an alias can contain itself.
const maxMergeDepth = 16

// add merges the top-level settings of a file into the root.
func (m *merger) add(n *yaml.Node) {
	if m.root == nil && len(m.parts) == 1 {
		m.root = n // the node is not copied, so that it is read strictly
		return
	}
	if m.root == nil {
		m.root = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: 1}
	}
	if n.Kind != yaml.MappingNode {
		if n.Kind != yaml.ScalarNode || n.Value != "" {
			m.bad(n, "", "want settings, such as jobs: {…}")
		}
		return
	}
	first := map[string]*yaml.Node{}
	rest := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Line: n.Line, Column: n.Column}
	for _, p := range pairs(n, 0) {
		name := p.key.Value
		if first[name] != nil {
			m.bad(p.key, "", "%q is set twice, first in %s", name, m.place(first[name].Line, p.key.Line))
			continue
		}
		if first[name] = p.key; name != "include" && !isExtension(name) {
			rest.Content = append(rest.Content, p.key, p.value)
		}
	}
	m.merge(m.root, rest, "", 0)
}

// merge adds the entries of the mapping "from" to the mapping "into". If both have different values for an entry, it reports a problem.
func (m *merger) merge(into, from *yaml.Node, path string, depth int) {
	for _, p := range pairs(from, 0) {
		at := join(path, p.key.Value)
		key, value := child(into, p.key.Value)
		deeper := depth - 1
		if path == "" {
			deeper = depths()[p.key.Value]
		}
		theirs := resolve(p.value)
		isMap := theirs.Kind == yaml.MappingNode && deeper > 0
		switch {
		case theirs.ShortTag() == "!!null" && path == "":
		case key == nil && isMap: // the mapping is copied, since entries of other files are added to it
			own := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: theirs.Line, Column: theirs.Column}
			into.Content = append(into.Content, p.key, own)
			m.merge(own, theirs, at, deeper)
		case key == nil:
			into.Content = append(into.Content, p.key, p.value)
		case isMap && resolve(value).Kind == yaml.MappingNode:
			m.merge(value, theirs, at, deeper)
		case fingerprint(resolve(value)) != fingerprint(theirs):
			m.bad(p.key, at, "is set differently in %s: remove one of them", m.place(key.Line, p.key.Line))
		}
	}
}

func (m *merger) bad(n *yaml.Node, path, format string, args ...any) {
	m.problems = append(m.problems, m.Problem(n, path, fmt.Sprintf(format, args...)))
}

// isExtension reports whether a top-level key is an extension, which is not read. The value of such a key is used only by aliases.
func isExtension(key string) bool { return strings.HasPrefix(key, "x-") }

// withoutExtensions returns the top level of a file without the keys for which isExtension is true.
func withoutExtensions(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.MappingNode || !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return isExtension(c.Value) }) {
		return n
	}
	kept := *n
	kept.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isExtension(n.Content[i].Value) {
			kept.Content = append(kept.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &kept
}
