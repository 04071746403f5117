package durable

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// maxLinks is how many symbolic links may lead to a file, as on Linux.
const maxLinks = 40

// follow returns the path of the file that a symbolic link leads to, over further links, and any other path as it is. The file
// need not exist, but its directory must.
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
			target = filepath.Dir(at) + string(filepath.Separator) + target // not cleaned: links come before ".."
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

// isLink reports whether a path is that of a symbolic link.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
