// Command release builds all files of a release: an archive of the binary for each system, packages for Debian, Red Hat and Alpine, and two
// container images, one of them with a shell. All of these contain the licences. For each binary it also writes a list of its modules
// (SBOM). The same commit and the same version of Go give the same bytes. The command builds the newest commit in a temporary clone of the
// repository, so changes that are not committed are not in the release. The only programs that it runs are go, git and the built binary:
//
//	cd deploy/release && go run . -o ../../dist
//
// The image with a shell is built if -shell names the directory to which shell/fetch.sh has downloaded Debian's busybox.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	root := flag.String("root", "../..", "the repository")
	out := flag.String("o", "../../dist", "the directory to write to; it is emptied first")
	only := flag.String("only", "", "build for this system alone, such as linux/amd64")
	shell := flag.String("shell", "", "the directory with Debian's packages of busybox; if it is empty, no image with a shell is built")
	flag.Parse()
	s, err := openShell(*shell)
	if err == nil {
		err = release(*root, *out, *only, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release: "+err.Error())
		os.Exit(1)
	}
}

// target is a system for which the program is built.
type target struct {
	os, arch string
	arm      string // GOARM; "" for other architectures
}

func (t target) String() string { return t.os + "/" + t.arch }

// label returns the target in the form in which it is part of file names.
func (t target) label() string {
	if t.arm != "" {
		return t.os + "_" + t.arch + "v" + t.arm
	}
	return t.os + "_" + t.arch
}

func targets() []target {
	return []target{
		{os: "linux", arch: "amd64"},
		{os: "linux", arch: "arm64"},
		{os: "linux", arch: "arm", arm: "7"},
		{os: "darwin", arch: "amd64"},
		{os: "darwin", arch: "arm64"},
	}
}

// release builds everything and writes it to the directory "out". If the argument "only" is not empty, it names the one target to build. If
// "shell" is not nil, the image with a shell is built too.
func release(root, out, only string, shell *shell) error {
	work, err := os.MkdirTemp("", "cton-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	source := filepath.Join(work, "source")
	if err := clone(root, source); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o755)); err != nil {
		return err
	}
	docs, err := documents(source, filepath.Join(work, "host"))
	if err != nil {
		return err
	}
	var built []*build
	for _, t := range targets() {
		if only != "" && only != t.String() {
			continue
		}
		b, err := compile(source, filepath.Join(work, t.label()), t)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		b.documents = docs
		fmt.Printf("%s: %s, %.1f MB, %d modules\n", t, b.version, float64(b.size)/1e6, len(b.modules))
		if err := b.write(out); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		built = append(built, b)
	}
	if len(built) == 0 {
		return fmt.Errorf("-only %s: there is no such system", only)
	}
	if err := writeImage(out, built, nil); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if shell != nil {
		if err := writeImage(out, built, shell); err != nil {
			return fmt.Errorf("image with a shell: %w", err)
		}
	}
	return writeSums(out)
}

// clone clones the repository into a directory. The history is cloned too, since go derives the version from it. clone warns of changes
// that are not committed.
func clone(root, dir string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if out, err := exec.Command("git", "clone", "--quiet", "--shared", root, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("git clone %s: %w\n%s", root, err, out)
	}
	changes, err := exec.Command("git", "-C", root, "status", "--porcelain").Output()
	if err == nil && len(changes) > 0 {
		fmt.Fprintf(os.Stderr, "release: these changes are not committed, and not in the release:\n%s", changes)
	}
	return err
}

// write writes the files that are made from one binary: the archive, the SBOM and, for Linux, the packages.
func (b *build) write(out string) error {
	if err := b.writeArchive(out); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if err := b.writeSBOM(filepath.Join(out, b.name()+".cdx.json")); err != nil {
		return fmt.Errorf("SBOM: %w", err)
	}
	if b.os != "linux" {
		return nil
	}
	if err := b.writePackages(out); err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	return nil
}
