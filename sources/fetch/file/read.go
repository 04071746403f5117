package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/collectington/collectington/agent/setting"
)

var errChanged = errors.New("the file changed while it was read: write it under another name and rename it")

// read appends the text of a file, and returns the state in which the file was read. If the file changes during the read, it is read once
// more.
func (f *fetcher) read(ctx context.Context, name string, into []byte) ([]byte, fs.FileInfo, error) {
	for range 2 {
		text, info, whole, err := readOnce(ctx, f.path(name), into, int64(f.config.MaxBytes))
		if err != nil {
			return into, nil, withoutPath(err)
		}
		if whole {
			return text, info, nil
		}
	}
	return into, nil, errChanged
}

// readOnce reads a file. The result "whole" is false if the file was changed while it was read.
func readOnce(ctx context.Context, path string, into []byte, max int64) (text []byte, before fs.FileInfo, whole bool, err error) {
	file, err := open(path)
	if err != nil {
		return into, nil, false, err
	}
	defer file.Close()
	if before, err = file.Stat(); err != nil {
		return into, nil, false, err
	}
	if err := isFile(before); err != nil {
		return into, nil, false, err
	}
	if text, err = readAll(ctx, file, into, max); err != nil {
		return into, nil, false, err
	}
	after, err := file.Stat()
	if err != nil {
		return into, nil, false, err
	}
	size := int64(len(text) - len(into))
	// Files in /proc have the size 0.
	whole = same(before, after) && (before.Size() == size || before.Size() == 0)
	return text, before, whole, nil
}

// open opens a regular file. It does not open other types of files, since opening a device can have effects, and opening a FIFO
// blocks. O_NONBLOCK is for the case that the file is replaced by a FIFO after the check.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := isFile(info); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func isFile(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return errors.New("a directory, want a file: set paths to a pattern such as " + info.Name() + "/*.json")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("a FIFO, want a file: read it with exec and command: [cat, " + info.Name() + "]")
	default:
		return fmt.Errorf("a device or a socket (%s), want a file", mode.Type())
	}
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// chunk is the maximum number of bytes that are read between two checks of ctx.
const chunk = 1 << 20

// readAll appends all data from r. It returns an error if the result is longer than max.
func readAll(ctx context.Context, r io.Reader, into []byte, max int64) ([]byte, error) {
	for {
		if cap(into)-len(into) < 512 {
			into = append(into, make([]byte, 512)...)[:len(into)]
		}
		n, err := r.Read(into[len(into):min(cap(into), len(into)+chunk)])
		into = into[:len(into)+n]
		switch {
		case int64(len(into)) > max:
			return nil, fmt.Errorf("the file exceeds max_bytes (%s): raise it", setting.Bytes(max))
		case errors.Is(err, io.EOF):
			return into, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// withoutPath removes the path from an error, since the caller adds the name.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		if errors.Is(err, fs.ErrNotExist) {
			return fs.ErrNotExist // its text is "file does not exist"
		}
		return e.Err
	}
	return err
}
