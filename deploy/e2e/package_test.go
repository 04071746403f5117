//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPackage builds two versions of the packages and the images. On a copy of this system, it installs, upgrades, removes and purges the
// packages, and runs the images. The test is skipped without root, and on systems that do not let it make a namespace or mount an overlay.
func TestPackage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can install packages")
	}
	if out, err := exec.Command("unshare", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("namespaces are not permitted here: %v %s", err, out)
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	command(t, dir, "git", "clone", "--quiet", "--shared", root, source)
	shell := filepath.Join(dir, "busybox")
	command(t, source, "deploy/release/shell/fetch.sh", shell)
	build := func(name string) (out string) {
		command(t, source, "git", "-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "commit", "--quiet", "--allow-empty", "-m", name)
		out = filepath.Join(dir, name)
		command(t, filepath.Join(source, "deploy/release"), "go", "run", ".", "-root", source, "-o", out, "-only", "linux/amd64", "-shell", shell)
		return out
	}
	older, newer := build("older"), build("newer")
	file := func(dir, end string) string { return oneFile(t, filepath.Join(dir, "*"+end)) }
	t.Run("install", func(t *testing.T) {
		onCopy(t, "package.sh", file(older, ".deb"), file(newer, ".deb"), file(newer, ".rpm"))
	})
	t.Run("apk", func(t *testing.T) { onCopy(t, "apk.sh", file(older, ".apk"), file(newer, ".apk")) })
	t.Run("systemd", func(t *testing.T) { bootPackage(t, file(newer, ".deb")) })
	t.Run("image", func(t *testing.T) {
		onCopy(t, "image.sh", file(newer, "_image.oci.tar"), file(newer, "_image-shell.oci.tar"))
	})
}

// onCopy runs a script that makes a copy of this system. It skips the test if the script reports that it cannot run on this system.
func onCopy(t *testing.T, script string, args ...string) {
	script, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child", script}, args...)...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if cmd.ProcessState.ExitCode() == 77 {
		t.Skip("it cannot run here")
	}
	if err != nil {
		t.Error(err)
	}
}

// oneFile returns the path of the only file that matches a pattern.
func oneFile(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v: want one file", pattern, found, err)
	}
	return found[0]
}

// bootPackage boots systemd on a copy of this system, and runs the service of a package in it.
func bootPackage(t *testing.T, deb string) {
	script, err := filepath.Abs("systemd.sh")
	if err != nil {
		t.Fatal(err)
	}
	result, err := os.CreateTemp("/dev/shm", "cton-e2e-")
	if err != nil {
		t.Skip(err)
	}
	defer os.Remove(result.Name())
	defer result.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts", script, deb, result.Name())
	go func() { // systemd continues to run after the check
		for ctx.Err() == nil {
			if text, _ := os.ReadFile(result.Name()); strings.HasSuffix(string(text), "\npassed\n") {
				cancel()
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	out, _ := cmd.CombinedOutput() // the file with the result says whether it succeeded
	if cmd.ProcessState.ExitCode() == 77 {
		t.Skipf("systemd cannot run here: %s", out)
	}
	text, err := os.ReadFile(result.Name())
	if err != nil || !strings.HasSuffix(string(text), "\npassed\n") {
		t.Errorf("%v\n%s\n%s", err, out, text)
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
