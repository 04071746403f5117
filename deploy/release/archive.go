package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// entry is a file or a directory of an archive.
type entry struct {
	name string // path; it ends with / for a directory
	mode int64
	user int // ID of the user, which is also the ID of the group
	data []byte
	link string // target, if the entry is a symbolic link
}

// writeTar writes the entries as a tar archive. All entries have the same time, and no names of users.
func writeTar(w io.Writer, mtime time.Time, entries []entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{Format: tar.FormatUSTAR, Name: e.name, Mode: e.mode, Uid: e.user, Gid: e.user, ModTime: mtime, Typeflag: tar.TypeReg, Size: int64(len(e.data))}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if e.link != "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(e.data); err != nil {
			return err
		}
	}
	return t.Close()
}

// compressed returns the entries as a compressed archive (.tar.gz).
func compressed(mtime time.Time, entries []entry) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := writeTar(z, mtime, entries); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}

// writeArchive writes an archive with the binary, the licences and the documents, for users who do not use a package manager.
func (b *build) writeArchive(out string) error {
	entries := []entry{{name: "cton", mode: 0o755}, {name: "LICENSE", mode: 0o644}, {name: "README.md", mode: 0o644}}
	for i, path := range []string{b.binary, filepath.Join(b.root, "LICENSE"), filepath.Join(b.root, "README.md")} {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		entries[i].data = data
	}
	entries = append(entries, entry{name: "THIRD_PARTY_LICENSES", mode: 0o644, data: b.thirdParty()})
	dirs := []entry{{mode: 0o755}}
	for _, d := range b.documents {
		if parent := (entry{name: filepath.Dir(d.name) + "/", mode: 0o755}); parent.name != dirs[len(dirs)-1].name {
			dirs = append(dirs, parent)
		}
		entries = append(entries, entry{name: d.name, mode: 0o644, data: d.text})
	}
	entries = append(dirs, entries...)
	for i := range entries {
		entries[i].name = b.name() + "/" + entries[i].name
	}
	data, err := compressed(b.time, entries)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, b.name()+".tar.gz"), data, 0o644)
}

// writeSums writes the file SHA256SUMS with the sums of all files in a directory, for sha256sum -c.
func writeSums(dir string) error {
	var sums bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		if d.IsDir() {
			return filepath.SkipDir
		}
		data, err := os.ReadFile(path)
		if err == nil {
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), d.Name())
		}
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), sums.Bytes(), 0o644)
}
