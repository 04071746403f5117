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

var errTorn = errors.New("it changes while it is read: write it under another name and rename it")

// read appends a file's text, and says what the file was then. A file that changes meanwhile is read again, once.
func (f *fetcher) read(ctx context.Context, name string, into []byte) ([]byte, fs.FileInfo, error) {
	for range 2 {
		text, info, whole, err := readOnce(ctx, f.at(name), into, int64(f.set.MaxBytes))
		if err != nil {
			return into, nil, withoutPath(err)
		}
		if whole {
			return text, info, nil
		}
	}
	return into, nil, errTorn
}

// readOnce reads a file from where its name leads now. Whole is false where it changed meanwhile.
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
	// The files of /proc have no size until they are read.
	whole = same(before, after) && (before.Size() == size || before.Size() == 0)
	return text, before, whole, nil
}

// open opens a file. What is none is not opened, since that alone can do things; what becomes none meanwhile does not
// block.
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
		return errors.New("it is a directory, want a file: set paths to a pattern such as " + info.Name() + "/*.json")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a FIFO, want a file: exec can read from it, such as by [cat, " + info.Name() + "]")
	default:
		return fmt.Errorf("it is a device or a socket (%s), want a file", mode.Type())
	}
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// chunk is how much is read before ctx is looked at again.
const chunk = 1 << 20

// readAll appends what a file holds, as long as all is not more than max.
func readAll(ctx context.Context, r io.Reader, into []byte, max int64) ([]byte, error) {
	for {
		if cap(into)-len(into) < 512 {
			into = append(into, make([]byte, 512)...)[:len(into)]
		}
		n, err := r.Read(into[len(into):min(cap(into), len(into)+chunk)])
		into = into[:len(into)+n]
		switch {
		case int64(len(into)) > max:
			return nil, fmt.Errorf("the text exceeds max_bytes (%s)", setting.Bytes(max))
		case errors.Is(err, io.EOF):
			return into, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// withoutPath leaves out of an error the path, which the error's reader knows.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		if errors.Is(err, fs.ErrNotExist) {
			return fs.ErrNotExist // "file does not exist"
		}
		return e.Err
	}
	return err
}
