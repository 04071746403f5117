package kubernetes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The test's own servers, in the network of the cluster.
const (
	apiAddress      = hostAddress + ":9001"
	receiverAddress = hostAddress + ":9002"
)

// patience is how long the test waits for something that takes only seconds on an idle machine.
const patience = 4 * time.Minute

// namespace is where the releases are. It enforces the restricted Pod Security Standard.
const namespace = "monitoring"

// firstTag and secondTag are the tags of the image. Both have the same program.
const firstTag, secondTag = "first", "second"

// world is a cluster, with the API that jobs ask and the receiver of their samples.
type world struct {
	*Cluster
	api      *api
	receiver *receiver
}

// newWorld starts a cluster.
func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	w := &world{api: &api{jobs: map[string]*asked{}}, receiver: &receiver{series: map[string]*series{}}}
	serve(t, apiAddress, w.api)
	serve(t, receiverAddress, remote.NewWriteHandler(w.receiver, remote.MessageTypes{remote.WriteV2MessageType}))
	image := imageOf(t)
	began := time.Now()
	var err error
	if w.Cluster, err = Start(ctx, map[string]string{firstTag: image, secondTag: image}); err != nil {
		t.Fatal(err)
	}
	t.Logf("the cluster is ready after %s", time.Since(began).Round(100*time.Millisecond))
	_, err = w.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serve serves HTTP until the test ends.
func serve(t *testing.T, address string, handler http.Handler) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	go func() { _ = s.Serve(l) }() // until Close
	t.Cleanup(func() { _ = s.Close() })
}

// imageOf returns a directory with the files of the container image, as deploy/container/Dockerfile makes it.
func imageOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.ReadFile(os.Getenv("CTON"))
	if err != nil {
		t.Fatalf("CTON names the program to test: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cton"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// volumes makes a volume for each pod of a release, and one more volume, which all pods share. It returns the name of the claim for the
// shared volume.
func (w *world) volumes(ctx context.Context, t *testing.T, release string, pods int) (claim string) {
	t.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	for n := range pods + 1 {
		name := release + "-" + strconv.Itoa(n)
		mode, dir := corev1.ReadWriteOnce, w.file(name)
		if n == pods {
			mode = corev1.ReadWriteMany
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil { // Kubernetes does not change the permissions of a volume of this kind
			t.Fatal(err)
		}
		_, err := w.Client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{mode},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := w.Client.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: release + "-shared"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return release + "-shared"
}

// release returns a release of the chart of this repository.
func (w *world) release(t *testing.T, name string) *Release {
	t.Helper()
	r, err := w.Release(name, namespace, "../../helm/cton")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// config returns a configuration for the chart with jobs that ask the API each second.
func (w *world) config(jobs ...string) map[string]any {
	all := map[string]any{}
	for _, job := range jobs {
		if w.api.jobs[job] == nil {
			w.api.add(job)
		}
		all[job] = map[string]any{
			"schedule": "@every 1s", "http": map[string]any{"url": "http://" + apiAddress + "/" + job},
			"metrics": map[string]any{
				"test_answer":       map[string]any{"type": "gauge", "help": "Number of the answer.", "value": ".answer"},
				"test_events_total": map[string]any{"type": "counter", "from": "events", "help": "Events.", "items": ".events[]", "once_by": "."},
			},
		}
	}
	return map[string]any{
		"external_labels": map[string]any{"instance": "cton"}, "own_metrics": map[string]any{"interval": "2s"}, "jobs": all,
		"sinks": map[string]any{"receiver": map[string]any{"remote_write": map[string]any{
			"url": "http://" + receiverAddress + "/api/v1/write", "protocol": "2.0", "spool": map[string]any{"dir": "/var/lib/cton/spool"},
		}}},
	}
}

// pods returns the pods of a release that are not ending.
func (w *world) pods(ctx context.Context, t *testing.T, release string) (all []corev1.Pod) {
	t.Helper()
	list, err := w.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// until calls ask until it returns nil.
func (w *world) until(ctx context.Context, t *testing.T, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	if err := w.wait(ctx, what, func(context.Context) error { return ask() }); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %s", what, time.Since(began).Round(100*time.Millisecond))
}

// arrives waits until the receiver has new samples of each job. They must be from an answer that the API has given after the call of this
// method.
func (w *world) arrives(ctx context.Context, t *testing.T, jobs ...string) {
	t.Helper()
	for _, job := range jobs {
		answers, _ := w.api.of(job)
		want := len(answers) + 2
		w.until(ctx, t, "samples of job "+job+" arrive", func() error {
			got, err := w.receiver.last("test_answer", map[string]string{"job": job})
			if err == nil && int(got) < want {
				err = fmt.Errorf("answer %v has arrived, want %d", got, want)
			}
			return err
		})
	}
}

// dump logs what is needed to understand a failed test.
func (w *world) dump(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	list, err := w.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Log(err)
		return
	}
	for _, p := range list.Items {
		t.Logf("pod %s on %s: %s %+v", p.Name, p.Spec.NodeName, p.Status.Phase, p.Status.ContainerStatuses)
		lines := int64(20)
		text, err := w.Client.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
		t.Logf("its log (%v):\n%s", err, text)
	}
	events, err := w.Client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Log(err)
		return
	}
	for _, e := range events.Items[max(0, len(events.Items)-20):] {
		t.Logf("event: %s %s: %s", e.InvolvedObject.Name, e.Reason, e.Message)
	}
	t.Log(w.receiver.names())
	t.Log(w.Logs())
}

// counted waits until all events of a job have been counted. It returns the samples of the job's total, and the number of events.
func (w *world) counted(ctx context.Context, t *testing.T, job string) (total []sample, events int) {
	t.Helper()
	labels := map[string]string{"job": job}
	_, events = w.api.of(job)
	w.until(ctx, t, fmt.Sprintf("%d events of job %s are counted", events, job), func() error {
		got, err := w.receiver.last("test_events_total", labels)
		if err == nil && int(got) != events {
			err = fmt.Errorf("%v events are counted", got)
		}
		return err
	})
	total, err := w.receiver.of("test_events_total", labels)
	if err != nil {
		t.Error(err)
	}
	return total, events
}

// judge waits until all events have been counted, and checks every sample of the jobs. If a pod ends in the middle of a run, the run leaves
// no trace, and its answer is missing at the receiver. The argument "ends" is the largest number of such runs.
func (w *world) judge(ctx context.Context, t *testing.T, ends int, jobs ...string) {
	t.Helper()
	for _, job := range jobs {
		counted, _ := w.counted(ctx, t, job)
		if counted[0].since == 0 {
			t.Errorf("job %s: the total of events has no start timestamp", job)
		}
		for i := 1; i < len(counted); i++ {
			if a, b := counted[i-1], counted[i]; b.value < a.value || b.since != a.since {
				t.Errorf("job %s: the total of events is %v since %d after %v since %d", job, b.value, b.since, a.value, a.since)
			}
		}
		w.judgeAnswers(t, ends, job)
	}
}

// judgeAnswers checks that each answer to a job has arrived. Only the answers of runs that were cut off may be missing. It also checks that
// the samples have the times of the answers, in the same order.
func (w *world) judgeAnswers(t *testing.T, ends int, job string) {
	t.Helper()
	samples, err := w.receiver.of("test_answer", map[string]string{"job": job})
	if err != nil {
		t.Error(err)
	}
	answers, _ := w.api.of(job)
	before, missing := 0, []int{}
	for _, s := range samples {
		n := int(s.value)
		if n <= before || n > len(answers) {
			t.Errorf("job %s: answer %d of %d has arrived after answer %d", job, n, len(answers), before)
			continue
		}
		if off := time.UnixMilli(s.at).Sub(answers[n-1]).Abs(); off > 15*time.Second {
			t.Errorf("job %s: the sample of answer %d is %s off its time", job, n, off)
		}
		for m := before + 1; m < n; m++ {
			missing = append(missing, m)
		}
		before = n
	}
	if len(missing) > ends {
		t.Errorf("job %s: answers %v of %d have not arrived, and %d runs can have been cut off", job, missing, before, ends)
	}
	t.Logf("job %s: %d answers, %d samples, cut off: %v", job, before, len(samples), missing)
}
