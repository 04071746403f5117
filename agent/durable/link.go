package durable

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLinks is the largest number of symbolic links in a row that are followed, as on Linux.
const maxLinks = 40

// follow returns the path of the file to which a symbolic link points, directly or over other links. If path is not a symbolic link, it
// returns path. The file need not exist, but its directory must exist.
func follow(path string) (string, error) {
	at := path
	for links := 0; ; links++ {
		if !isLink(at) {
			return at, nil
		}
		target, err := os.Readlink(at)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(at) + string(filepath.Separator) + target // not cleaned: links are followed before ".."
		}
		dir, base := filepath.Split(target)
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return "", fmt.Errorf("follow the symbolic link %s: %w", path, err)
		}
		if at = filepath.Join(dir, base); links == maxLinks {
			return "", fmt.Errorf("follow the symbolic link %s: it leads over more than %d others", path, maxLinks)
		}
	}
}

// isLink reports whether there is a symbolic link at path.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
