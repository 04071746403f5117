package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// fetcher reads the same files each tick. Its buffers and decoders keep their memory.
type fetcher struct {
	set  *Config
	show func(section, line string) // nil = nobody looks
	dir  string

	text    []byte // the document
	body    []byte // one file of a list
	decoder *format.Decoder
	list    sources.Parser
	last    []version // of what text was made of; nil = it cannot be used again
}

// version is a file as it was when it was read.
type version struct {
	name string
	info fs.FileInfo
}

// Fetch reads the files. Its errors begin with the file.
func (f *fetcher) Fetch(ctx context.Context, _ sources.Tick) (*sources.Document, error) {
	names, err := f.find()
	if err != nil {
		return nil, fmt.Errorf("read files: %w", err)
	}
	from := "read files"
	if f.set.Path != "" {
		from = "read " + f.set.Path
	}
	if f.unchanged(names) {
		return f.document(ctx, from) // anew, since a document grows by being read
	}
	begun, versions := time.Now(), []version(nil)
	f.last = nil
	var skipped sources.Skipped
	if f.set.Path == "" {
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
	if doc.Skipped = skipped; skipped.Items == 0 && f.set.ChangedOnly && isSettled(versions, begun) {
		f.last = versions
	}
	return doc, nil
}

func (f *fetcher) readOne(ctx context.Context, from string) ([]version, error) {
	text, info, err := f.read(ctx, f.set.Path, f.text[:0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	f.text = text
	f.shown(f.set.Path, info, len(text))
	return []version{{f.set.Path, info}}, nil
}

// readList makes the list of {file, modified, size, document}. A file that a pattern found and that is gone since is not part
// of it. A file that cannot be read or decoded is left out of it, unless that is so of all files.
func (f *fetcher) readList(ctx context.Context, names []string) (versions []version, skipped sources.Skipped, err error) {
	versions = []version{}
	f.text = append(f.text[:0], '[')
	for _, name := range names {
		v, err := f.readFile(ctx, name, len(versions) > 0)
		switch {
		case ctx.Err() != nil:
			return nil, skipped, fmt.Errorf("read %s: %w", name, context.Cause(ctx))
		case errors.Is(err, fs.ErrNotExist) && !slices.Contains(f.set.Paths, name):
			continue
		case err != nil:
			skipped.Add(sources.Skipped{Items: 1, First: err})
			continue
		}
		if int64(len(f.text)) > int64(f.set.MaxBytes) {
			return nil, skipped, fmt.Errorf("read files: they exceed max_bytes (%s) together", f.set.MaxBytes)
		}
		versions = append(versions, v)
	}
	if len(versions) == 0 && skipped.Items > 0 {
		return nil, skipped, skipped.First
	}
	f.text = append(f.text, ']')
	return versions, skipped, nil
}

// readFile appends one file to the list. Its errors begin with the file.
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

// appendFile is the list's text with a file as JSON. Its time is in Unix seconds, to the millisecond.
func (f *fetcher) appendFile(name string, info fs.FileInfo, size int, body document.Value) []byte {
	quoted, _ := json.Marshal(name) // a text always can be
	into := append(append(f.text, `{"file":`...), quoted...)
	into = append(into, `,"modified":`...)
	into = strconv.AppendFloat(into, float64(info.ModTime().UnixMilli())/1000, 'f', -1, 64)
	into = strconv.AppendInt(append(into, `,"size":`...), int64(size), 10)
	into = body.AppendJSON(append(into, `,"document":`...), int(f.set.MaxBytes))
	return append(into, '}')
}

// document is what the text holds.
func (f *fetcher) document(ctx context.Context, from string) (*sources.Document, error) {
	if f.set.Path != "" {
		return f.decode(ctx, from, f.text)
	}
	return f.list.JSON(from, f.text)
}

// decode decodes a file. The error begins with where the text is from.
func (f *fetcher) decode(ctx context.Context, from string, text []byte) (*sources.Document, error) {
	plain, err := format.UTF8("", text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	doc, err := f.decoder.Decode(ctx, from, "", plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return doc, nil
}

// unchanged tells whether the files are those that the text was made of. Each is looked at by its name, so that a file
// that stands in place of another is seen.
func (f *fetcher) unchanged(names []string) bool {
	if f.last == nil || len(f.last) != len(names) {
		return false
	}
	for i, v := range f.last {
		info, err := os.Stat(f.at(names[i]))
		if err != nil || v.name != names[i] || !same(v.info, info) {
			return false
		}
	}
	return true
}

// settle is how long a file must have been left alone for its time to tell one version from the next: file systems keep
// times as coarse as two seconds (FAT).
const settle = 2 * time.Second

// isSettled tells whether later versions of the files are sure to have other times.
func isSettled(versions []version, read time.Time) bool {
	return !slices.ContainsFunc(versions, func(v version) bool {
		return v.info.Size() == 0 || v.info.ModTime().After(read.Add(-settle)) // those of /proc have neither size nor time
	})
}

func (f *fetcher) shown(name string, info fs.FileInfo, size int) {
	if f.show != nil {
		f.show("file", fmt.Sprintf("%s\n%d bytes, modified %s", name, size, info.ModTime().UTC().Format(time.RFC3339)))
	}
}
