//go:build linux

package agent_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/collectington/collectington/sinks/sinktest"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// shaky is a Pushgateway that can be killed. It then forgets everything, and does not answer while its field "down" is set.
type shaky struct {
	t    *testing.T
	mu   sync.Mutex
	peer *peers.Pushgateway
	down bool
}

func (s *shaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	peer := s.peer
	if s.down {
		peer = nil
	}
	s.mu.Unlock()
	if peer == nil {
		panic(http.ErrAbortHandler) // the connection is closed
	}
	peer.ServeHTTP(w, r)
}

func (s *shaky) kill(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer, s.down = peers.NewPushgateway(s.t), down
}

// killCommand kills the command that was the last to write its process ID to the file "truth", if this command still runs.
func killCommand(truth string) {
	text, err := os.ReadFile(truth)
	if err != nil {
		return // none has begun
	}
	lines := strings.Fields(string(text))
	last := lines[len(lines)-1]
	pid, err := strconv.Atoi(last)
	line, gone := os.ReadFile("/proc/" + last + "/cmdline")
	if err == nil && gone == nil && strings.Contains(string(line), truth) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// TestExecKilled checks that every run is counted once although cton, the command and the receiver are killed at random moments.
func TestExecKilled(t *testing.T) {
	t.Parallel()
	moments := 200
	if testing.Short() {
		moments = 40
	}
	cton, err := exec.LookPath("cton")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	receiver := &shaky{t: t}
	receiver.kill(false)
	server := httptest.NewServer(receiver)
	defer server.Close()
	// Each run of the command adds a line to the file "truth", so the number of lines is the true number of runs.
	truth := filepath.Join(dir, "truth")
	command := fmt.Sprintf("echo $$ >>%s; sleep 0.0$(( $$ %% 10 ))", truth)
	run := func() *exec.Cmd {
		cmd := exec.Command(cton, "exec", "job", "--log-level", "error", "--instance", "", "--pushgateway", server.URL,
			"--state-dir", filepath.Join(dir, "state"), "--", "sh", "-c", command)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	dice := rand.New(rand.NewPCG(16, 53))
	for i := range moments {
		cmd := run()
		time.Sleep(time.Duration(dice.IntN(60)) * time.Millisecond)
		switch i % 3 {
		case 0:
			_ = cmd.Process.Kill() // it may have ended
		case 1:
			killCommand(truth)
		case 2:
			receiver.kill(dice.IntN(2) == 0)
		}
		_ = cmd.Wait()
	}
	receiver.mu.Lock()
	receiver.down = false
	receiver.mu.Unlock()
	if err := run().Wait(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(truth)
	if err != nil {
		t.Fatal(err)
	}
	ran := len(strings.Fields(string(text)))
	pushed := sinktest.FromText(t, receiver.peer.Text(t), "job", "instance")
	total := 0.0
	for _, result := range []string{"success", "failure", "lost"} {
		total += pushed.Values[`cton_exec_runs_total{result="`+result+`"}`]
	}
	lost := pushed.Values[`cton_exec_runs_total{result="lost"}`]
	t.Logf("%d moments: the command ran %d times; counted are %g runs, %g of them lost", moments, ran, total, lost)
	// If cton is killed after it has noted a run and before it starts the command, the run is counted as lost although nothing ran.
	if total < float64(ran) || total-lost > float64(ran) || total > float64(moments+1) {
		t.Errorf("%g runs are counted, of which %g are lost; there were %d", total, lost, ran)
	}
	if n := pushed.Values["cton_exec_duration_seconds_count"]; n != total-lost {
		t.Errorf("the histogram has %g runs, want %g", n, total-lost)
	}
	if ran == 0 || lost == 0 && !testing.Short() { // in a short test, the few kills may all miss a run
		t.Error("nothing was lost, so the test has shown nothing")
	}
}
