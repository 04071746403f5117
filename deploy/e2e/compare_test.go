//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCompare checks that the comparison with other programs works. It runs a small comparison, with only the workloads that have no
// outage.
func TestCompare(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "../compare", "-cton", os.Getenv("CTON"), "-out", out,
		"-only", "scrape-disk,page,once", "-runs", "1", "-rounds", "7", "-records", "50", "-interval", "1s")
	cmd.Env = append(os.Environ(), "VMAGENT_BIN="+filepath.Join(filepath.Dir(os.Getenv("VICTORIAMETRICS")), "vmagent"), "PROMETHEUS_BIN="+os.Getenv("PROMETHEUS"))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, name := range []string{"compare.md", "compare.svg", "compare.jsonl"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
