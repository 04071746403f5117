package shard

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Shard{"1/1": {1, 1}, "2/5": {2, 5}, "5/5": {5, 5}, "ordinal/5": {4, 5}, "1000/1000": {1000, 1000}} {
		if got, err := Parse(text, "cton-3.cton.monitoring.svc"); got != want || err != nil {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"": "not a shard", "2": "not a shard", "0/5": "want 1/5 to 5/5", "6/5": "want 1/5 to 5/5", "a/5": "want 1/5", "-1/5": "want 1/5", "1/0": "1 to 1000",
		"1/1001": "1 to 1000", "1/x": "not a shard", "ordinal/3": "the host cton-3 is shard 4, but there are 3: set as many replicas",
	} {
		if got, err := Parse(text, "cton-3"); got != (Shard{}) || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, host := range []string{"", "cton", "cton-", "cton-x", "3", "cton-99999999999", "cton-5f7c"} {
		if got, err := Parse("ordinal/9", host); err == nil || !strings.Contains(err.Error(), "does not end with a number") {
			t.Errorf("%s: got %v, %v", host, got, err)
		}
	}
}

// names returns names of jobs as people give them.
func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("team-%d/job-%d", i%40, i)
	}
	return all
}

// TestEachJobOnce checks that each job belongs to exactly one shard, and that all shards have about the same number of jobs.
func TestEachJobOnce(t *testing.T) {
	jobs := names(3000)
	for _, count := range []int{1, 2, 3, 10, 31} {
		has := make([]int, count)
		for _, job := range jobs {
			in := 0
			for i := range count {
				if (Shard{i + 1, count}).Has(job) {
					in++
					has[i]++
				}
			}
			if in != 1 {
				t.Fatalf("%s is in %d of %d shards", job, in, count)
			}
		}
		mean := float64(len(jobs)) / float64(count)
		if spread := 5 * math.Sqrt(mean); float64(slices.Max(has)) > mean+spread || float64(slices.Min(has)) < mean-spread {
			t.Errorf("%d shards have %v", count, has)
		}
	}
}

// TestFewMove checks that an additional shard takes about its share of the jobs, and that no job moves between the
// other shards.
func TestFewMove(t *testing.T) {
	jobs := names(3000)
	for count := 1; count < 20; count++ {
		moved := 0
		for _, job := range jobs {
			before, after := Of(job, count), Of(job, count+1)
			if before == after {
				continue
			}
			moved++
			if after != count+1 {
				t.Errorf("%s moves from shard %d to %d when shard %d comes", job, before, after, count+1)
			}
		}
		part := float64(len(jobs)) / float64(count+1)
		if math.Abs(float64(moved)-part) > 5*math.Sqrt(part) {
			t.Errorf("%d to %d shards: %d jobs move, want about %.0f", count, count+1, moved, part)
		}
	}
}

// TestStays checks the shards of some jobs: a new release must not move jobs.
func TestStays(t *testing.T) {
	var got []int
	for _, job := range []string{"oncall", "billing", "a", "Ü", "team-1/x"} {
		got = append(got, Of(job, 5))
	}
	if want := "[5 2 4 4 4]"; fmt.Sprint(got) != want {
		t.Errorf("the shards are %v, want %s", got, want)
	}
}

func TestMoves(t *testing.T) {
	jobs := names(200)
	left, came := Moves(jobs, Shard{2, 5}, Shard{2, 6})
	if len(left) == 0 || len(came) != 0 {
		t.Errorf("from 5 to 6 shards: %v left, %v came", left, came)
	}
	for _, m := range left {
		if m.To != 6 {
			t.Errorf("%v", m)
		}
	}
	left, came = Moves(jobs, Shard{2, 6}, Shard{2, 5})
	if len(left) != 0 || len(came) == 0 {
		t.Errorf("from 6 to 5 shards: %v left, %v came", left, came)
	}
	for _, m := range came {
		if m.To != 6 {
			t.Errorf("%v", m)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	for b.Loop() {
		Of("team-1/job-1", 10)
	}
}
