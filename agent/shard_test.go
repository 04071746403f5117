//go:build unix

package agent_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// The size of TestShards.
var (
	shardJobs = flag.Int("shard-jobs", 60, "how many jobs TestShards divides over its shards")
	shards    = flag.Int("shards", 5, "how many shards TestShards has")
)

// cluster has agents with the same configuration, which share its jobs among them. It also has the API and the receiver that all agents
// use.
type cluster struct {
	*testing.T
	net     *memnet.Network
	storage *peers.Prometheus
	dir     string
	shared  bool // all hosts have one state file; otherwise each has its own

	mu       sync.Mutex
	requests map[string]int // number of requests by path; each request adds an event to the answer for its path
}

// newCluster returns a cluster without agents, for jobs with the given names.
func newCluster(t *testing.T, jobs []string) *cluster {
	t.Helper()
	c := &cluster{T: t, net: memnet.NewNetwork(), storage: peers.NewPrometheus(t), dir: t.TempDir(), requests: map[string]int{}}
	c.net.Serve(t, "prometheus.test:80", c.storage)
	c.net.Serve(t, "api.test:80", c)
	var text strings.Builder
	text.WriteString(`
state_file: state
external_labels: {instance: test}
sinks:
  tsdb: {remote_write: {url: "http://prometheus.test/api/v1/write"}}
defaults: {schedule: "@every 20s"}
jobs:
`)
	for _, job := range jobs {
		fmt.Fprintf(&text, `
  %s:
    http: {url: "http://api.test/%[1]s"}
    metrics:
      events_total: {type: counter, help: Events., items: ".events[]", once_by: ".", labels: {of: "\"%[1]s\""}}
      runs_total: {type: counter, from: increment, help: Runs., value: "1", labels: {of: "\"%[1]s\""}}
`, job)
	}
	c.write("cton.yaml", text.String())
	return c
}

func (c *cluster) write(name, text string) {
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

// ServeHTTP answers with the last 20 events of a job. Each request makes one more event happen.
func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[r.URL.Path]++
	n := c.requests[r.URL.Path]
	var ids []string
	for i := max(1, n-19); i <= n; i++ {
		ids = append(ids, strconv.Itoa(i))
	}
	_, _ = fmt.Fprintf(w, `{"events": [%s]}`, strings.Join(ids, ", "))
}

// asked returns how often the API was asked for each job.
func (c *cluster) asked() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.requests)
}

// pod is an agent of a cluster.
type pod struct {
	c    *cluster
	end  context.CancelFunc
	done chan struct{}
	logs *lockedText
}

// start starts an agent for a shard such as 2/5. The agent's host has a state file of its own, unless all hosts share one.
func (c *cluster) start(shard string) *pod {
	c.Helper()
	file := filepath.Join(c.dir, "cton.yaml")
	if !c.shared {
		ordinal, _, _ := strings.Cut(shard, "/")
		text, err := os.ReadFile(file)
		if err != nil {
			c.Fatal(err)
		}
		c.write("cton-"+ordinal+".yaml", strings.Replace(string(text), "state_file: state", "state_file: state-"+ordinal, 1))
		file = filepath.Join(c.dir, "cton-"+ordinal+".yaml")
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &pod{c: c, end: cancel, done: make(chan struct{}), logs: &lockedText{}}
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: p.logs, Dial: c.net.Dial}
	go func() {
		defer close(p.done)
		if code := app.Main(ctx, []string{"run", "-c", file, "--shard", shard}); code != 0 {
			c.Errorf("shard %s: exit code %d:\n%s", shard, code, p.logs)
		}
	}()
	return p
}

// stop stops the agent in an orderly way.
func (p *pod) stop() {
	p.end()
	<-p.done
}

// check compares the stored totals of each job (events_total and runs_total) with the requests for this job. Neither may decrease, and both
// must end at the number of requests.
func (c *cluster) check(jobs []string) {
	c.Helper()
	asked := c.asked()
	for _, metric := range []string{"events_total", "runs_total"} {
		for _, job := range jobs {
			before := 0.0
			for _, points := range c.storage.Points(c.T, fmt.Sprintf("%s{of=%q}", metric, job)) {
				for _, p := range points {
					if p.Stale {
						continue
					}
					if p.Value < before {
						c.Errorf("%s of %s steps back from %v to %v", metric, job, before, p.Value)
					}
					before = p.Value
				}
			}
			if want := asked["/"+job]; int(before) != want || want == 0 {
				c.Errorf("%s of %s ends at %v, the API was asked %d times", metric, job, before, want)
			}
		}
	}
}

// namesOf returns n names of jobs.
func namesOf(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("job-%d", i))
	}
	return all
}

// TestRollout checks that all counters are right after the number of shards has changed as in a StatefulSet: a pod is added, and the others
// start again one after the other. The shards have one state file. For a while, a job can belong to two shards that run. Then the second
// shard waits with the job, and logs this.
func TestRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := namesOf(12)
		c := newCluster(t, jobs)
		c.shared = true
		pods := []*pod{c.start("1/2"), c.start("2/2")}
		time.Sleep(90 * time.Second)
		added := c.start("3/3")
		time.Sleep(90 * time.Second)
		waits := strings.Count(added.logs.String(), `msg="the job waits: another process runs it"`)
		for i := len(pods) - 1; i >= 0; i-- {
			pods[i].stop()
			time.Sleep(10 * time.Second)
			pods[i] = c.start(fmt.Sprintf("%d/3", i+1))
			time.Sleep(90 * time.Second)
		}
		time.Sleep(5 * time.Minute) // for five minutes, queries still find the series of pods that have ended
		synctest.Wait()
		runs := strings.Count(added.logs.String(), `msg=recovered`)
		if waits == 0 || runs != waits || !strings.Contains(added.logs.String(), "in use by process") {
			t.Errorf("%d jobs wait, and then %d run:\n%s", waits, runs, added.logs)
		}
		if log := pods[0].logs.String(); !strings.Contains(log, "the number of shards has changed") || !strings.Contains(log, "from=1/2 to=1/3") {
			t.Errorf("the first shard does not say what has moved:\n%s", log)
		}
		up := c.storage.Query(t, time.Now(), `count by (cton_job) (cton_job_up == 1)`)
		if len(up) != len(jobs) || slices.Max(slices.Collect(maps.Values(up))) != 1 {
			t.Errorf("the jobs run by one shard each are %v", up)
		}
		for _, p := range append(pods, added) {
			p.stop()
		}
		c.check(jobs)
	})
}

// TestShards runs many jobs on many shards, and stops one shard for some minutes. It checks that only the runs of this shard's jobs in
// these minutes are lost. With -v it says what was measured. To measure 10,000 jobs:
// go test -v -run TestShards ./agent -shards 10 -shard-jobs 10000
func TestShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := namesOf(*shardJobs)
		c := newCluster(t, jobs)
		var pods []*pod
		began := cpuTime(t)
		for i := range *shards {
			pods = append(pods, c.start(fmt.Sprintf("%d/%d", i+1, *shards)))
		}
		synctest.Wait()
		t.Logf("%d jobs on %d shards: configurations read in %v of CPU a shard", len(jobs), *shards, (cpuTime(t)-began)/time.Duration(*shards))
		began = cpuTime(t)
		time.Sleep(2 * time.Minute)
		t.Logf("two minutes at @every 20s take %v of CPU in all", cpuTime(t)-began)
		has := c.storage.Query(t, time.Now(), `count by (shard) (cton_job_up == 1)`)
		t.Logf("jobs by shard: %v", has)
		for _, part := range has {
			if mean := float64(len(jobs)) / float64(*shards); part < mean/3 || part > 2*mean+5 {
				t.Errorf("the shards have %v jobs", has)
			}
		}
		own := c.storage.Value(t, time.Now(), `count({job="cton"})`)
		total := c.storage.Value(t, time.Now(), `max(cton_shards_jobs)`)
		missing := c.storage.Value(t, time.Now(), `max(cton_shards) - count(cton_shards)`)
		if total != float64(len(jobs)) || missing != 0 {
			t.Errorf("%v jobs of %d, %v shards are missing", total, len(jobs), missing)
		}
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		t.Logf("%v own series; %d MiB of heap for all shards, the API and the receiver", own, memory.HeapAlloc>>20)

		pods[0].stop()
		synctest.Wait() // for the requests of this moment
		before := c.asked()
		time.Sleep(7 * time.Minute)
		after := c.asked()
		still := 0
		for job, n := range before {
			if after[job] == n {
				still++
			} else if after[job] < n+20 {
				t.Errorf("%s was asked %d times in seven minutes", job, after[job]-n)
			}
		}
		t.Logf("one shard lost for seven minutes: %d jobs do not run", still)
		if lost := c.storage.Value(t, time.Now(), `max(cton_shards) - count(cton_shards)`); lost != 1 {
			t.Errorf("%v shards are missing, want 1", lost)
		}
		pods[0] = c.start(fmt.Sprintf("1/%d", *shards))
		time.Sleep(time.Minute)
		for _, p := range pods {
			p.stop()
		}
		c.check(jobs)
	})
}
