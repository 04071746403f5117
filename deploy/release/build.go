package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// mainPackage is the main package of the program, relative to the repository.
const mainPackage = "./agent/cton"

// build is the program, built for one target. It also has what is known about this build.
type build struct {
	target
	root    string    // path of the repository
	dir     string    // directory for the files from which packages are made
	binary  string    // path of the binary
	size    int64     // size of the binary in bytes
	version string    // version with the prefix v, as Go derives it from the tags
	goes    string    // version of Go
	time    time.Time // time of the commit; all files get this time
	modules []module  // modules that are linked into the binary, sorted by path

	documents []document // documents for archives and packages
}

// name returns the beginning that the names of all files for the target have in common.
func (b *build) name() string { return "cton_" + strings.TrimPrefix(b.version, "v") + "_" + b.label() }

// compile builds the program in the directory dir, which it creates, and finds out which modules the binary contains.
func compile(root, dir string, t target) (*build, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b := &build{target: t, root: root, dir: dir, binary: filepath.Join(dir, "cton")}
	binary, err := filepath.Abs(b.binary)
	if err != nil {
		return nil, err
	}
	if _, err := b.run("build", "-buildvcs=true", "-trimpath", "-ldflags=-s -w", "-o", binary, mainPackage); err != nil {
		return nil, err
	}
	file, err := os.Stat(b.binary)
	if err != nil {
		return nil, err
	}
	b.size = file.Size()
	if err := b.identify(); err != nil {
		return nil, err
	}
	b.modules, err = b.linked()
	return b, err
}

// run runs the go command in the repository, for the target, and returns its output.
func (b *build) run(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS="+b.os, "GOARCH="+b.arch, "GOARM="+b.arm)
	var text strings.Builder
	cmd.Stderr = &text
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, text.String())
	}
	return out, nil
}

// identify reads the version of the program, the version of Go and the time of the commit from the binary.
func (b *build) identify() error {
	info, err := buildinfo.ReadFile(b.binary)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.time" })
	if at < 0 || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return fmt.Errorf("the binary has no version: build in a clone of the repository, with git")
	}
	b.version, b.goes = info.Main.Version, strings.TrimPrefix(info.GoVersion, "go")
	b.time, err = time.Parse(time.RFC3339, info.Settings[at].Value)
	return err
}

// pseudo matches a pseudo-version: the version of a commit that has no tag. It contains the time of the commit. If the tag before the
// commit is a pre-release, it also contains this pre-release (https://go.dev/ref/mod#pseudo-versions).
var pseudo = regexp.MustCompile(`^v(\d+\.\d+\.\d+)-(?:(?:(.+)\.)?0\.)?(\d{14})-[0-9a-f]{12}(\+dirty)?$`)

// packageVersion returns the version and the pre-release in the form that the package manager of a format accepts. For a release, the
// pre-release is "". The package manager sorts these versions in the same order as Go if the only pre-releases are rc.1, rc.2 and so on.
//
// In an apk, a version with _alpha, _beta, _pre or _rc sorts before the release. A version with _git sorts after the version to which _git
// is appended.
func packageVersion(version, format string) (release, prerelease string) {
	if m := pseudo.FindStringSubmatch(version); m != nil {
		tag, time := strings.ReplaceAll(m[2], ".", ""), m[3]
		switch {
		case format == "apk" && tag == "":
			return m[1], "pre" + time
		case format == "apk":
			return m[1], tag + "_git" + time
		case tag == "":
			return m[1], "git" + time
		}
		return m[1], tag + ".git" + time
	}
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+")
	release, prerelease, _ = strings.Cut(version, "-")
	return release, strings.ReplaceAll(prerelease, ".", "")
}
