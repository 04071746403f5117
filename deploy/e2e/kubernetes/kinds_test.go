package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kinds runs two releases: one of kind Deployment, which keeps no state over restarts, and one of kind CronJob with a volume, which runs
// each minute.
func (w *world) kinds(ctx context.Context, t *testing.T) {
	cron := &rollout{world: w, Release: w.release(t, "cton-cron"), jobs: []string{"reports"}}
	cron.values = map[string]any{
		"kind": "CronJob", "cron": map[string]any{"schedule": "* * * * *"}, "image": map[string]any{"tag": firstTag}, "config": w.config(cron.jobs...),
		"persistence": map[string]any{"existingClaim": w.volumes(ctx, t, "cton-cron", 0)},
	}
	plain := &rollout{world: w, Release: w.release(t, "cton-plain"), jobs: []string{"weather"}, added: "storms"}
	plain.values = map[string]any{
		"kind": "Deployment", "image": map[string]any{"tag": firstTag}, "config": w.config(plain.jobs...), "terminationGracePeriodSeconds": 10,
	}
	ends, ok := w.run(ctx, t,
		step{"CronJob installed", func(ctx context.Context, t *testing.T) {
			if err := cron.Install(ctx, cron.values, patience); err != nil {
				t.Fatal(err)
			}
		}, 0},
		step{"Deployment installed", plain.install, 0},
		step{"Deployment with a new configuration", plain.reloaded, 0},
		step{"Deployment with a new image", plain.newImage, 0},
		step{"Deployment killed", plain.restarted, 1},
		step{"CronJob runs", func(ctx context.Context, t *testing.T) { cron.arrives(ctx, t, cron.jobs...) }, 0},
		step{"CronJob started by hand", cron.byHand, 0},
	)
	if err := cron.Uninstall(patience); err != nil {
		t.Error(err)
	}
	if ok {
		w.judge(ctx, t, 0, cron.jobs...)
		w.api.stop(plain.jobs...)
		for _, job := range plain.jobs {
			w.judgeStarts(ctx, t, job)
			w.judgeAnswers(t, ends, job)
		}
	}
	if err := plain.Uninstall(patience); err != nil {
		t.Error(err)
	}
}

// restarted kills the process of the only pod, and checks that the process is started again.
func (r *rollout) restarted(ctx context.Context, t *testing.T) {
	before := r.pods(ctx, t, r.name)
	if len(before) != 1 {
		t.Fatalf("%d pods", len(before))
	}
	if err := r.Kill(&before[0]); err != nil {
		t.Fatal(err)
	}
	r.until(ctx, t, "the container is started again", func() error {
		if s := r.pod(ctx, t, before[0].Name).Status.ContainerStatuses[0]; s.RestartCount != 1 || !s.Ready {
			return fmt.Errorf("%d restarts, ready: %v", s.RestartCount, s.Ready)
		}
		return nil
	})
	r.arrives(ctx, t, r.jobs...)
}

// byHand does the same as kubectl create job --from=cronjob/cton-cron, and waits until the job has succeeded.
func (r *rollout) byHand(ctx context.Context, t *testing.T) {
	c, err := r.Client.BatchV1().CronJobs(namespace).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "by-hand", Labels: maps.Clone(c.Spec.JobTemplate.Labels)}, Spec: c.Spec.JobTemplate.Spec}
	if _, err := r.Client.BatchV1().Jobs(namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until(ctx, t, "the run by hand has ended", func() error {
		job, err := r.Client.BatchV1().Jobs(namespace).Get(ctx, "by-hand", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range job.Status.Conditions {
			if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
				t.Fatalf("it has failed: %s", c.Message)
			}
		}
		if job.Status.Succeeded != 1 {
			return fmt.Errorf("%+v", job.Status)
		}
		return nil
	})
}

// judgeStarts waits until all events of a job have been counted. The job's pods keep no state, so each pod counts from zero. The start
// timestamp of a pod's total must be later than that of the previous pod, and no total may decrease.
func (w *world) judgeStarts(ctx context.Context, t *testing.T, job string) {
	t.Helper()
	counted, events := w.counted(ctx, t, job)
	starts := 1
	for i := 1; i < len(counted); i++ {
		a, b := counted[i-1], counted[i]
		if b.since < a.since || b.since == a.since && b.value < a.value {
			t.Errorf("job %s: the total of events is %v since %d after %v since %d", job, b.value, b.since, a.value, a.since)
		}
		if b.since != a.since {
			starts++
		}
	}
	t.Logf("job %s: %d events, counted from zero %d times", job, events, starts)
}
