package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leased is a release of two pods. The pod that holds a lease runs the jobs.
type leased struct {
	*world
	*Release
	jobs  []string
	hands int // how often the lease was handed over
}

// lease runs a release of two pods for the same jobs, and makes the pod that holds the lease unavailable in several ways.
func (w *world) lease(ctx context.Context, t *testing.T) {
	const name = "cton-lease"
	l := &leased{world: w, Release: w.release(t, name), jobs: []string{"calls", "rooms"}}
	values := map[string]any{
		"kind": "StatefulSet", "lease": map[string]any{"enabled": true}, "image": map[string]any{"tag": firstTag}, "config": w.config(l.jobs...),
		"persistence": map[string]any{"sharedClaim": w.volumes(ctx, t, name, 2)}, "terminationGracePeriodSeconds": 10,
	}
	ends, ok := w.run(ctx, t,
		step{"install", func(ctx context.Context, t *testing.T) {
			if err := l.Install(ctx, values, patience); err != nil {
				t.Fatal(err)
			}
			l.arrives(ctx, t, l.jobs...)
		}, 0},
		step{"holder killed", l.killed, 1},
		step{"holder deleted", l.deleted, 0},
		step{"holder cut off", l.cut, 1},
		step{"holder deleted again", l.deleted, 0},
	)
	if ok {
		w.api.stop(l.jobs...)
		w.judge(ctx, t, ends, l.jobs...)
		for _, job := range l.jobs {
			if clients := w.api.clients(job); len(clients) != l.hands+1 {
				t.Errorf("job %s: %d pods have asked the API one after the other, but the lease was handed over %d times: %q", job, len(clients), l.hands, clients)
			}
		}
	}
	if err := l.Uninstall(patience); err != nil {
		t.Error(err)
	}
}

// holder returns the name of the pod that holds the lease.
func (l *leased) holder(ctx context.Context) (string, error) {
	lease, err := l.Client.CoordinationV1().Leases(namespace).Get(ctx, l.name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", errors.New("no pod holds the lease")
	}
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod, nil
}

// handOver calls the function "away", which makes the holder of the lease unavailable. It checks that the other pod has the lease and runs
// the jobs within the time limit.
func (l *leased) handOver(ctx context.Context, t *testing.T, limit time.Duration, away func(pod string)) {
	t.Helper()
	before, err := l.holder(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first := make(map[string]int, len(l.jobs))
	for _, job := range l.jobs {
		answers, _ := l.api.of(job)
		first[job] = max(0, len(answers)-1)
	}
	began := time.Now()
	away(before)
	l.until(ctx, t, "the other pod has the lease", func() error {
		now, err := l.holder(ctx)
		if err == nil && now == before {
			err = fmt.Errorf("%s holds the lease", now)
		}
		return err
	})
	t.Logf("handed over after %s", time.Since(began).Round(100*time.Millisecond))
	l.hands++
	l.arrives(ctx, t, l.jobs...)
	for _, job := range l.jobs {
		answers, _ := l.api.of(job)
		gap := time.Duration(0)
		for i := first[job] + 1; i < len(answers); i++ {
			gap = max(gap, answers[i].Sub(answers[i-1]))
		}
		t.Logf("job %s was not asked for %s", job, gap.Round(100*time.Millisecond))
		if gap > limit {
			t.Errorf("job %s was not asked for %s, want %s at most", job, gap, limit)
		}
	}
}

// both waits until the two pods are ready.
func (l *leased) both(ctx context.Context, t *testing.T) {
	t.Helper()
	l.until(ctx, t, "both pods are ready", func() error {
		ready := 0
		for _, p := range l.pods(ctx, t, l.name) {
			if len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready {
				ready++
			}
		}
		if ready != 2 {
			return fmt.Errorf("%d are", ready)
		}
		return nil
	})
}

// killed kills the process of the holder without warning. The kubelet starts it again, as another process.
func (l *leased) killed(ctx context.Context, t *testing.T) {
	l.handOver(ctx, t, 25*time.Second, func(pod string) {
		if err := l.Kill(l.pod(ctx, t, pod)); err != nil {
			t.Fatal(err)
		}
	})
	l.both(ctx, t)
}

// deleted deletes the pod that holds the lease. The pod has its grace period to stop.
func (l *leased) deleted(ctx context.Context, t *testing.T) {
	l.handOver(ctx, t, 20*time.Second, func(pod string) {
		if err := l.Client.CoreV1().Pods(namespace).Delete(ctx, pod, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	l.both(ctx, t)
}

// cut cuts the holder off from the API server. The holder can still reach the API that its jobs ask, and the receiver. The holder must stop
// its jobs, and stand by afterwards.
func (l *leased) cut(ctx context.Context, t *testing.T) {
	var pod string
	join := func() error { return nil }
	l.handOver(ctx, t, 25*time.Second, func(holder string) {
		pod = holder
		var err error
		if join, err = l.Cut(l.world.pod(ctx, t, pod)); err != nil {
			t.Fatal(err)
		}
	})
	log := func() string {
		text, err := l.Client.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := log(); !strings.Contains(text, "the lease is lost: the jobs stop here at once") {
		t.Errorf("the pod does not say that it has lost the lease:\n%s", text)
	}
	if err := join(); err != nil {
		t.Fatal(err)
	}
	l.until(ctx, t, "the pod stands by", func() error {
		lines := strings.Split(log(), "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "the lease is lost") })
		if !strings.Contains(strings.Join(lines[at:], "\n"), "standby: another process holds the lease") {
			return errors.New("it does not say so")
		}
		return nil
	})
	l.arrives(ctx, t, l.jobs...)
}
