package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	_ "embed" // texts of licences, and checksums
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/blakesmith/ar"
	"github.com/ulikunitz/xz"
)

// maxShell is the maximum size, in bytes, of a file that is read from a package of busybox.
const maxShell = 32 << 20

//go:embed shell/SHA256SUMS
var shellSums string

//go:embed shell/GPL-2
var gpl2 []byte

//go:embed shell/LGPL-2.1
var lgpl21 []byte

// shell is Debian's busybox, a shell with the usual commands in one static binary. The image with a shell contains it, for scripts of
// exec jobs.
type shell struct {
	dir  string // directory of the packages busybox-static
	sums string // the packages and their sums, in the format of sha256sum
}

// openShell returns the shell whose packages are in a directory. It returns nil if the argument is "", or if the directory is empty.
func openShell(dir string) (*shell, error) {
	if dir == "" {
		return nil, nil
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	return &shell{dir: dir, sums: shellSums}, nil
}

// files returns the entries of an image with busybox for an architecture: the binary, links to it, and its licences.
func (s *shell) files(arch string) ([]entry, error) {
	deb, name, err := s.open(arch)
	if err != nil {
		return nil, err
	}
	data, err := member(deb, "data.tar.xz", "./bin/busybox", "./usr/share/doc/busybox-static/copyright")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	control, err := member(deb, "control.tar.xz", "./control")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	source, err := shellSource(name, string(control[0]))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	entries := []entry{
		{name: "bin/", mode: 0o755},
		{name: "bin/busybox", mode: 0o755, data: data[0]},
		{name: "licenses/busybox/", mode: 0o755},
		{name: "licenses/busybox/SOURCE", mode: 0o644, data: []byte(source)},
		{name: "licenses/busybox/copyright", mode: 0o644, data: data[1]},
		{name: "licenses/busybox/GPL-2", mode: 0o644, data: gpl2},
		{name: "licenses/busybox/LGPL-2.1", mode: 0o644, data: lgpl21},
	}
	for applet := range strings.FieldsSeq(applets) {
		entries = append(entries, entry{name: "bin/" + applet, mode: 0o777, link: "busybox"})
	}
	return entries, nil
}

// applets are the commands of busybox in the image: those that scripts use, without those that administer a system.
const applets = `[ [[ ash awk base64 basename bc bunzip2 bzcat bzip2 cal cat chmod cmp cp cut date dc dd df diff dirname dos2unix du echo
	ed egrep env expand expr factor false fgrep find fold getopt grep groups gunzip gzip head hexdump hostname id kill less link ln ls
	lzcat md5sum mkdir mkfifo mktemp more mv nc nl nproc nslookup od paste pidof ping printf ps pwd readlink realpath rev
	rm rmdir sed seq sh sha1sum sha256sum sha512sum shuf sleep sort stat strings tac tail tar tee telnet test time timeout touch
	tr true truncate tty uname unexpand uniq unlink unxz unzip uptime usleep uudecode uuencode vi watch wc wget which whoami xargs xxd
	xz xzcat yes zcat`

// open returns the package for an architecture, and the name of the package. It checks the package's sum.
func (s *shell) open(arch string) (deb []byte, name string, err error) {
	for line := range strings.Lines(s.sums) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if !strings.HasSuffix(name, "_"+arch+".deb") {
			continue
		}
		deb, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return nil, name, err
		}
		if got := fmt.Sprintf("%x", sum(deb)); got != want {
			return nil, name, fmt.Errorf("%s has the SHA-256 %s, want %s", name, got, want)
		}
		return deb, name, nil
	}
	return nil, "", fmt.Errorf("busybox: there is no package for %s", arch)
}

// member returns the contents of some files in one of the archives that a Debian package consists of.
func member(deb []byte, archive string, names ...string) ([][]byte, error) {
	outer := ar.NewReader(bytes.NewReader(deb))
	for {
		h, err := outer.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("there is no %s", archive)
		}
		if err != nil {
			return nil, err
		}
		if strings.TrimSuffix(h.Name, "/") == archive {
			break
		}
	}
	plain, err := xz.NewReader(outer)
	if err != nil {
		return nil, err
	}
	found := make([][]byte, len(names))
	for inner := tar.NewReader(plain); ; {
		h, err := inner.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for i, name := range names {
			if path.Clean(h.Name) != path.Clean(name) {
				continue
			}
			if found[i], err = io.ReadAll(io.LimitReader(inner, maxShell)); err != nil {
				return nil, err
			}
		}
	}
	for i, data := range found {
		if len(data) == 0 {
			return nil, fmt.Errorf("%s has no %s", archive, names[i])
		}
	}
	return found, nil
}

// shellSource returns the text that says where the source of busybox is, as its licence demands. The argument "control" is the package's
// description.
func shellSource(name, control string) (string, error) {
	field := func(key string) string {
		found := regexp.MustCompile(`(?m)^` + key + `: (.*)$`).FindStringSubmatch(control)
		return cmp.Or(append(found, "", "")[1], "")
	}
	source := regexp.MustCompile(`^busybox \((\S+)\)$`).FindStringSubmatch(field("Source"))
	glibc := regexp.MustCompile(`\bglibc \(= (\S+)\)`).FindStringSubmatch(field("Built-Using"))
	if source == nil || glibc == nil {
		return "", fmt.Errorf("it does not say from which source it is built: Source: %s, Built-Using: %s", field("Source"), field("Built-Using"))
	}
	return fmt.Sprintf(`bin/busybox is the unchanged binary of Debian's package %s.
It is built from Debian's source package busybox %s (GPL-2) and is
linked with glibc %s (LGPL-2.1). Their sources:

  https://snapshot.debian.org/package/busybox/%s/
  https://snapshot.debian.org/package/glibc/%s/
`, name, source[1], glibc[1], source[1], glibc[1]), nil
}
