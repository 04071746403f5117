package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/drain"
)

// TestMain runs the tests in their own namespaces. If the arguments name a part of the cluster, it runs that part instead.
func TestMain(m *testing.M) {
	if Part(os.Args) {
		return
	}
	if os.Getuid() != 0 || os.Getenv(workDir) != "" {
		if os.Getuid() == 0 {
			if err := Settle(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		os.Exit(m.Run())
	}
	code, err := Isolate()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// TestChart runs releases of the chart in a cluster, and changes them as users and clusters do. It checks that the answers of the API have
// arrived at the receiver.
func TestChart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make the namespaces, mounts and interfaces of pods")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 18*time.Minute)
	defer cancel()
	w := newWorld(ctx, t)
	t.Run("shards", func(t *testing.T) { w.shards(ctx, t) })
	t.Run("lease", func(t *testing.T) { w.lease(ctx, t) })
	t.Run("kinds", func(t *testing.T) { w.kinds(ctx, t) })
}

// step is something that happens to a release.
type step struct {
	name string
	do   func(context.Context, *testing.T)
	ends int // the largest number of runs of a job that the step can cut off
}

// run runs steps, and stops after one that fails. The result "ends" is the largest number of runs of a job that the steps can have cut off.
// The result "ok" says whether all steps have succeeded.
func (w *world) run(ctx context.Context, t *testing.T, steps ...step) (ends int, ok bool) {
	for _, s := range steps {
		began := time.Now()
		if !t.Run(s.name, func(t *testing.T) { s.do(ctx, t) }) {
			w.dump(t)
			return ends, false
		}
		ends += s.ends
		t.Logf("%s: %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
	return ends, true
}

// shards runs a release of pods which share their jobs.
func (w *world) shards(ctx context.Context, t *testing.T) {
	jobs := []string{"orders", "search", "users", "builds"} // the last two move to the third shard
	r := &rollout{world: w, Release: w.release(t, "cton"), jobs: jobs, added: "tickets", values: map[string]any{
		"kind": "StatefulSet", "shards": 1, "image": map[string]any{"tag": firstTag}, "config": w.config(jobs...),
		"persistence": map[string]any{"sharedClaim": w.volumes(ctx, t, "cton", 3)}, "terminationGracePeriodSeconds": 10,
	}}
	ends, ok := w.run(ctx, t,
		step{"install", r.install, 0},
		step{"helm test", r.check, 0},
		step{"bad configuration and image of one pod", r.rolledBack, 2},
		step{"second shard", r.moreShards, 1},
		step{"new image", r.newImage, 1},
		step{"container killed", r.killed, 1},
		step{"new configuration", r.reloaded, 0},
		step{"bad configuration", r.refused, 0},
		step{"bad configuration and image", r.rolledBack, 2},
		step{"third shard", r.moreShards, 1},
		step{"node drained", r.drained, 1},
	)
	if ok {
		w.api.stop(r.jobs...)
		w.judge(ctx, t, ends, r.jobs...)
	}
	if err := r.Uninstall(patience); err != nil {
		t.Error(err)
	}
}

// rollout is a release, with its current values and jobs.
type rollout struct {
	*world
	*Release
	values map[string]any
	jobs   []string
	added  string // the job that a new configuration adds
}

// upgrade upgrades the release with some values changed, and keeps the changed values.
func (r *rollout) upgrade(ctx context.Context, t *testing.T, changed map[string]any) {
	t.Helper()
	maps.Copy(r.values, changed)
	if err := r.Upgrade(ctx, r.values, patience); err != nil {
		t.Fatal(err)
	}
}

func (r *rollout) install(ctx context.Context, t *testing.T) {
	if err := r.Install(ctx, r.values, patience); err != nil {
		t.Fatal(err)
	}
	r.arrives(ctx, t, r.jobs...)
}

func (r *rollout) check(_ context.Context, t *testing.T) {
	logs, err := r.Test(patience)
	if err != nil {
		t.Error(err)
	}
	t.Log(logs)
}

func (r *rollout) newImage(ctx context.Context, t *testing.T) {
	r.upgrade(ctx, t, map[string]any{"image": map[string]any{"tag": secondTag}})
	for _, p := range r.pods(ctx, t, r.name) {
		if image := p.Spec.Containers[0].Image; !strings.HasSuffix(image, ":"+secondTag) {
			t.Errorf("pod %s has image %s", p.Name, image)
		}
	}
	r.arrives(ctx, t, r.jobs...)
}

func (r *rollout) killed(ctx context.Context, t *testing.T) {
	pod := r.pod(ctx, t, "cton-0")
	if err := r.Kill(pod); err != nil {
		t.Fatal(err)
	}
	r.until(ctx, t, "the container is started again", func() error {
		if s := r.pod(ctx, t, "cton-0").Status.ContainerStatuses[0]; s.RestartCount != pod.Status.ContainerStatuses[0].RestartCount+1 || !s.Ready {
			return fmt.Errorf("%d restarts, ready: %v", s.RestartCount, s.Ready)
		}
		return nil
	})
	r.arrives(ctx, t, r.jobs...)
}

// pod returns a pod of the release.
func (w *world) pod(ctx context.Context, t *testing.T, name string) *corev1.Pod {
	t.Helper()
	p, err := w.Client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// starts returns how often the containers of all pods have been started, by the pods' identities.
func (r *rollout) starts(ctx context.Context, t *testing.T) map[string]int32 {
	t.Helper()
	all := map[string]int32{}
	for _, p := range r.pods(ctx, t, r.name) {
		all[string(p.UID)] = p.Status.ContainerStatuses[0].RestartCount
	}
	return all
}

func (r *rollout) reloaded(ctx context.Context, t *testing.T) {
	before := r.starts(ctx, t)
	r.jobs = append(r.jobs, r.added)
	r.upgrade(ctx, t, map[string]any{"config": r.config(r.jobs...)})
	r.arrives(ctx, t, r.jobs...)
	if after := r.starts(ctx, t); !maps.Equal(before, after) {
		t.Errorf("pods have been started again: %v, before %v", after, before)
	}
}

// refused gives a configuration with a mistake to running pods. The pods must report that they refuse it, and keep their old configuration.
func (r *rollout) refused(ctx context.Context, t *testing.T) {
	before, good := r.starts(ctx, t), r.values["config"]
	r.upgrade(ctx, t, map[string]any{"config": r.bad()})
	r.until(ctx, t, "the pods say that they refuse it", func() error { return r.loaded(0) })
	r.arrives(ctx, t, r.jobs...)
	if after := r.starts(ctx, t); !maps.Equal(before, after) {
		t.Errorf("pods have been started again: %v, before %v", after, before)
	}
	r.upgrade(ctx, t, map[string]any{"config": good})
	r.until(ctx, t, "the pods say that they have loaded the good one", func() error { return r.loaded(1) })
}

// bad returns a configuration with a mistake.
func (r *rollout) bad() map[string]any {
	bad := r.config(r.jobs...)
	bad["jobs"].(map[string]any)["orders"].(map[string]any)["schedule"] = "@every now"
	return bad
}

// loaded returns an error unless cton_config_last_reload_successful has the wanted value for both shards.
func (r *rollout) loaded(want float64) error {
	for _, shard := range []string{"1", "2"} {
		got, err := r.receiver.last("cton_config_last_reload_successful", map[string]string{"shard": shard})
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("shard %s says %v", shard, got)
		}
	}
	return nil
}

// rolledBack upgrades to new pods with a configuration that they refuse, and checks that helm rolls the upgrade back.
func (r *rollout) rolledBack(ctx context.Context, t *testing.T) {
	good := r.values["image"].(map[string]any)["tag"].(string)
	bad := maps.Clone(r.values)
	other := map[string]string{firstTag: secondTag, secondTag: firstTag}[good]
	maps.Copy(bad, map[string]any{"config": r.bad(), "image": map[string]any{"tag": other}})
	err := r.Upgrade(ctx, bad, 30*time.Second)
	if err == nil {
		t.Fatal("the upgrade says that it worked")
	}
	// The bad pod has the phase Failed for a moment before it is gone. If Helm sees this, it does not wait for the end of the rollback.
	if text := err.Error(); !strings.Contains(text, "has been rolled back") && !strings.Contains(text, "status: Failed, message: 1 pods have failed") {
		t.Errorf("the upgrade is not rolled back: %v", err)
	}
	r.until(ctx, t, "all pods have the good image and are ready", func() error {
		pods := r.pods(ctx, t, r.name)
		for _, p := range pods {
			if !strings.HasSuffix(p.Spec.Containers[0].Image, ":"+good) || len(p.Status.ContainerStatuses) == 0 || !p.Status.ContainerStatuses[0].Ready {
				return fmt.Errorf("pod %s: %s, %v", p.Name, p.Spec.Containers[0].Image, p.Status.ContainerStatuses)
			}
		}
		if len(pods) != r.values["shards"].(int) {
			return fmt.Errorf("%d pods", len(pods))
		}
		return nil
	})
	r.arrives(ctx, t, r.jobs...)
}

func (r *rollout) moreShards(ctx context.Context, t *testing.T) {
	want := r.values["shards"].(int) + 1
	r.upgrade(ctx, t, map[string]any{"shards": want})
	if pods := r.pods(ctx, t, r.name); len(pods) != want {
		t.Errorf("%d pods, want %d", len(pods), want)
	}
	r.arrives(ctx, t, r.jobs...)
}

// drained takes the node of a pod out of service, as for maintenance. The pod's jobs go on from another node.
func (r *rollout) drained(ctx context.Context, t *testing.T) {
	node := r.pod(ctx, t, "cton-0").Spec.NodeName
	helper := &drain.Helper{
		Ctx: ctx, Client: r.Client, GracePeriodSeconds: -1, Timeout: patience, DeleteEmptyDirData: true, Out: t.Output(), ErrOut: t.Output(),
	}
	n, err := r.Client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := drain.RunCordonOrUncordon(helper, n, true); err != nil {
		t.Fatal(err)
	}
	if err := drain.RunNodeDrain(helper, node); err != nil {
		t.Fatal(err)
	}
	r.until(ctx, t, "the pod is ready on another node", func() error {
		for _, p := range r.pods(ctx, t, r.name) {
			if p.Name == "cton-0" && p.Spec.NodeName != node && len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].Ready {
				return nil
			}
		}
		return fmt.Errorf("it is not there")
	})
	r.arrives(ctx, t, r.jobs...)
	if n, err = r.Client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := drain.RunCordonOrUncordon(helper, n, false); err != nil {
		t.Fatal(err)
	}
}
