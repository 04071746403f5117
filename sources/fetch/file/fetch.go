package file

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// fetcher reads the same files in each tick. Its buffers and decoders reuse their memory.
type fetcher struct {
	config *Config
	show   func(section, line string) // nil = nothing is shown
	dir    string

	text    []byte // text of the document
	body    []byte // text of one file in the list
	decoder *format.Decoder
	list    sources.Parser
	last    []version // the files whose contents are in the field "text"; nil = that text must not be used again

	answer answer // what was read last, with changed_only
}

// answer is what was read in a tick. If the same is read again, its id stays.
type answer struct {
	id       uint64 // see sources.Document.Answer; 0 = nothing was read
	versions []version
	sum      [sha256.Size]byte // of the text
}

// identify returns the identity of the text that was read from files. It is that of the last tick if the files and their text are the same: a
// file that was written a moment ago is read again, although it may not have changed.
func (f *fetcher) identify(versions []version) uint64 {
	sum := sha256.Sum256(f.text)
	if f.answer.id == 0 || sum != f.answer.sum || !slices.EqualFunc(versions, f.answer.versions, func(a, b version) bool {
		return a.name == b.name && same(a.info, b.info)
	}) {
		f.answer = answer{rand.Uint64() | 1, versions, sum}
	}
	return f.answer.id
}

// version describes the state of a file when it was read.
type version struct {
	name string
	info fs.FileInfo
}

// Fetch reads the files.
func (f *fetcher) Fetch(ctx context.Context, _ sources.Tick, r sources.Request) (*sources.Document, error) {
	if !r.IsZero() {
		return nil, sources.ErrFixedRequest
	}
	names, err := f.find()
	if err != nil {
		return nil, fmt.Errorf("read files: %w", err)
	}
	from := "read files"
	if f.config.Path != "" {
		from = "read " + f.config.Path
	}
	if f.unchanged(names) {
		doc, err := f.document(ctx, from) // decoded again, since using a document can change it
		if err == nil {
			doc.Answer = f.answer.id
		}
		return doc, err
	}
	start, versions := time.Now(), []version(nil)
	f.last = nil
	var skipped sources.Skipped
	if f.config.Path == "" {
		versions, skipped, err = f.readList(ctx, names)
	} else {
		versions, err = f.readOne(ctx, from)
	}
	if err != nil {
		return nil, err
	}
	doc, err := f.document(ctx, from)
	if err != nil {
		return nil, err
	}
	if doc.Skipped = skipped; skipped.Items == 0 && f.config.ChangedOnly && isSettled(versions, start) {
		f.last = versions
	}
	if f.config.ChangedOnly {
		doc.Answer = f.identify(versions)
	}
	return doc, nil
}

func (f *fetcher) readOne(ctx context.Context, from string) ([]version, error) {
	text, info, err := f.read(ctx, f.config.Path, f.text[:0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	f.text = text
	f.shown(f.config.Path, info, len(text))
	return []version{{f.config.Path, info}}, nil
}

// readList reads the list of {file, modified, size, document}. A file that was found by a pattern but no longer exists is not in
// the list. A file that cannot be read or decoded is skipped. If all files are skipped, readList returns the first error.
func (f *fetcher) readList(ctx context.Context, names []string) (versions []version, skipped sources.Skipped, err error) {
	versions = []version{}
	f.text = append(f.text[:0], '[')
	for _, name := range names {
		v, err := f.readFile(ctx, name, len(versions) > 0)
		switch {
		case ctx.Err() != nil:
			return nil, skipped, fmt.Errorf("read %s: %w", name, context.Cause(ctx))
		case errors.Is(err, fs.ErrNotExist) && !slices.Contains(f.config.Paths, name):
			continue
		case err != nil:
			skipped.Add(sources.Skipped{Items: 1, First: err})
			continue
		}
		if int64(len(f.text)) > int64(f.config.MaxBytes) {
			return nil, skipped, fmt.Errorf("read files: together they exceed max_bytes (%s): match fewer files, or raise it", f.config.MaxBytes)
		}
		versions = append(versions, v)
	}
	if len(versions) == 0 && skipped.Items > 0 {
		return nil, skipped, skipped.First
	}
	f.text = append(f.text, ']')
	return versions, skipped, nil
}

// readFile appends one file to the list. Its errors begin with the name of the file.
func (f *fetcher) readFile(ctx context.Context, name string, more bool) (version, error) {
	body, info, err := f.read(ctx, name, f.body[:0])
	if err != nil {
		return version{}, fmt.Errorf("read %s: %w", name, err)
	}
	f.body = body
	f.shown(name, info, len(body))
	doc, err := f.decode(ctx, "read "+name, body)
	if err != nil {
		return version{}, err
	}
	if more {
		f.text = append(f.text, ',')
	}
	f.text = f.appendFile(name, info, len(body), doc.Root)
	return version{name, info}, nil
}

// appendFile returns the text of the list with a file appended as JSON. The time is in Unix seconds, with milliseconds.
func (f *fetcher) appendFile(name string, info fs.FileInfo, size int, body document.Value) []byte {
	quoted, _ := json.Marshal(name) // marshaling a string cannot fail
	into := append(append(f.text, `{"file":`...), quoted...)
	into = append(into, `,"modified":`...)
	into = strconv.AppendFloat(into, float64(info.ModTime().UnixMilli())/1000, 'f', -1, 64)
	into = strconv.AppendInt(append(into, `,"size":`...), int64(size), 10)
	into = body.AppendJSON(append(into, `,"document":`...), int(f.config.MaxBytes))
	return append(into, '}')
}

// document decodes the text of the document.
func (f *fetcher) document(ctx context.Context, from string) (*sources.Document, error) {
	if f.config.Path != "" {
		return f.decode(ctx, from, f.text)
	}
	return f.list.JSON(from, f.text)
}

// decode decodes the text of a file.
func (f *fetcher) decode(ctx context.Context, from string, text []byte) (*sources.Document, error) {
	plain, err := f.decoder.UTF8("", text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	doc, err := f.decoder.Decode(ctx, from, "", plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// unchanged reports whether the files are still the same, and in the same state, as when f.text was read from them. It looks up each file
// by its name, so that it also detects a file that was replaced.
func (f *fetcher) unchanged(names []string) bool {
	if f.last == nil || len(f.last) != len(names) {
		return false
	}
	for i, v := range f.last {
		info, err := os.Stat(f.path(names[i]))
		if err != nil || v.name != names[i] || !same(v.info, info) {
			return false
		}
	}
	return true
}

// minAge is the time that must have passed since the newest change of a file when the file is read. A change after the reading then gives
// the file another time, even if the file system stores times in steps of up to two seconds (FAT).
const minAge = 2 * time.Second

// isSettled reports whether any later change of the files will change their times.
func isSettled(versions []version, read time.Time) bool {
	return !slices.ContainsFunc(versions, func(v version) bool {
		return v.info.Size() == 0 || v.info.ModTime().After(read.Add(-minAge)) // files in /proc have no size and no time
	})
}

// shown passes the name, size and time of a file to the function f.show.
func (f *fetcher) shown(name string, info fs.FileInfo, size int) {
	if f.show != nil {
		f.show("file", fmt.Sprintf("%s\n%d bytes, modified %s", name, size, info.ModTime().UTC().Format(time.RFC3339)))
	}
}

// wild holds the characters that make a path a pattern.
const wild = `*?[\`

// find returns the different names of the files to read, sorted. Relative names remain relative to the configuration's directory. A
// pattern may match no file, but the directory before its first wildcard must exist. A name that is not a pattern is always
// returned, so that a missing file is reported when it is read.
func (f *fetcher) find() ([]string, error) {
	if f.config.Path != "" {
		return []string{f.config.Path}, nil
	}
	var all []string
	for _, pattern := range f.config.Paths {
		if !strings.ContainsAny(pattern, wild) {
			all = append(all, filepath.Clean(pattern))
			continue
		}
		if root := f.path(rootOf(pattern)); !isDirectory(root) {
			return nil, fmt.Errorf("%s: the directory %s does not exist or cannot be read", pattern, root)
		}
		names, err := f.match(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > f.config.MaxFiles {
		return nil, fmt.Errorf("%d files exceed max_files (%d): match fewer files, or raise it", len(all), f.config.MaxFiles)
	}
	return all, nil
}

// match returns the names that match a pattern. The name of the configuration's directory may contain wildcard characters, so they
// are escaped. If the agent has no permission to read a directory that a wildcard matches, the directory is ignored. Other errors
// of reading a directory are returned.
func (f *fetcher) match(pattern string) ([]string, error) {
	if filepath.IsAbs(pattern) {
		return readable(sources.Glob(pattern))
	}
	plain := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(f.dir)
	names, err := readable(sources.Glob(filepath.Join(plain, pattern)))
	for i := range names {
		if names[i], err = filepath.Rel(f.dir, names[i]); err != nil {
			return nil, err
		}
	}
	return names, err
}

// readable returns its arguments, but without the error if err consists only of denied permissions.
func readable(names []string, err error) ([]string, error) {
	if refused(err) {
		err = nil
	}
	return names, err
}

func refused(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(many.Unwrap(), func(e error) bool { return !refused(e) })
	}
	return errors.Is(err, fs.ErrPermission)
}

// rootOf returns the directory before the first part of a pattern that has a wildcard.
func rootOf(pattern string) string {
	root := pattern
	for strings.ContainsAny(root, wild) {
		root = filepath.Dir(root)
	}
	return root
}

func isDirectory(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	info, err := dir.Stat()
	return err == nil && info.IsDir()
}

// path returns the path for a name.
func (f *fetcher) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.dir, name)
}
