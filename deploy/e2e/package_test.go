//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPackage builds two versions of the package for Debian, and installs, upgrades, removes and purges them on a copy of this system.
// It is skipped without root, and where no overlay can be mounted.
func TestPackage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can install packages")
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "git", "clone", "--quiet", "--shared", root, source)
	deb := func(version string) string {
		command(t, source, "git", "-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "--quiet", "--allow-empty", "-m", version)
		command(t, source, "git", "tag", version)
		out := filepath.Join(dir, version)
		command(t, filepath.Join(source, "deploy/release"), "go", "run", ".", "-root", source, "-o", out, "-only", "linux/amd64")
		found, err := filepath.Glob(filepath.Join(out, "*.deb"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v: want one package", found, err)
		}
		return found[0]
	}
	older, newer := deb("v98.0.0"), deb("v99.0.0-rc.1")
	script, err := filepath.Abs("package.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", script, older, newer)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if cmd.ProcessState.ExitCode() == 77 {
		t.Skip("no overlay can be mounted here")
	}
	if err != nil {
		t.Error(err)
	}
}

// command runs a command in a directory.
func command(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
