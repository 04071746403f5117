//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAlerts checks the alerts with promtool, and also runs the alerts' tests with promtool.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool := filepath.Join(filepath.Dir(env(t, "PROMETHEUS")), "promtool")
	files, err := filepath.Glob("../alerts/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("the alerts are %q: %v", files, err)
	}
	for _, file := range files {
		args := []string{"check", "rules", filepath.Base(file)}
		if strings.HasSuffix(file, "_test.yaml") {
			args[0] = "test"
		}
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Dir(file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
