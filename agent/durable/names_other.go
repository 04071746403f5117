//go:build !linux

package durable

import (
	"errors"
	"io"
	"os"
)

// eachName calls the function "each" once for every regular file in an open directory, with the file's name.
func eachName(dir *os.File, each func(name []byte)) error {
	for {
		entries, err := dir.ReadDir(1024)
		for _, e := range entries {
			if e.Type().IsRegular() {
				each([]byte(e.Name()))
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
