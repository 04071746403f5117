package check

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the plain manifests of deploy/kubernetes")

// render returns the manifests of the chart with the values of a file, sorted by the name of their template.
func render(t *testing.T, values []byte) ([]string, error) {
	t.Helper()
	chart, err := loader.LoadDir("../cton")
	if err != nil {
		t.Fatal(err)
	}
	var given map[string]any
	if err := yaml.UnmarshalStrict(values, &given); err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(chart, given, common.ReleaseOptions{Name: "cton", Namespace: "monitoring", Revision: 1, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var manifests []string
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}) {
		if text := strings.TrimSpace(files[name]); text != "" && !strings.HasSuffix(name, ".txt") && filepath.Ext(name) == ".yaml" {
			manifests = append(manifests, text)
		}
	}
	return manifests, nil
}

// decode decodes a manifest as an API server does: an unknown field is an error. For a kind of the Prometheus Operator's API, decode
// returns nil.
func decode(t *testing.T, manifest string) runtime.Object {
	t.Helper()
	if strings.Contains(manifest, "apiVersion: monitoring.coreos.com/v1") {
		return nil
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	o, _, err := strict.Decode([]byte(manifest), nil, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	return o
}

// podOf returns the specification of the pods that an object creates, or nil if it creates no pods.
func podOf(o runtime.Object) *corev1.PodSpec {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &o.Spec.Template.Spec
	case *batchv1.CronJob:
		return &o.Spec.JobTemplate.Spec.Template.Spec
	case *corev1.Pod:
		return &o.Spec
	}
	return nil
}

// TestChart checks the manifests that the chart makes from each file of values.
func TestChart(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files of values")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			values, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			manifests, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			pods := 0
			if name == "lease" {
				checkLease(t, manifests)
			}
			for _, m := range manifests {
				o := decode(t, m)
				if s, is := o.(*appsv1.StatefulSet); is {
					checkShards(t, s)
				}
				if pod := podOf(o); pod != nil {
					pods++
					checkPod(t, pod, name)
				}
				if c, is := o.(*corev1.ConfigMap); is {
					checkConfig(t, c.Data["cton.yaml"])
				}
			}
			if pods != 2 {
				t.Errorf("%d kinds of pods, want that of the program and that of the test", pods)
			}
			if name != "small" && name != "pair" {
				checkPlain(t, name, manifests)
			}
		})
	}
}

// checkPod checks what every pod must have: the settings that the restricted Pod Security Standard demands, probes, and volumes for all
// mounts. A pod must have no token.
func checkPod(t *testing.T, pod *corev1.PodSpec, name string) {
	c := pod.Containers[0]
	s := c.SecurityContext
	if pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		*s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("%s is not restricted: %v %v", c.Name, pod.SecurityContext, s)
	}
	if needs := name == "lease" && c.Name == "cton"; pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken != needs {
		t.Errorf("whether the pod %s needs a token: %v, and it gets one: %v", c.Name, needs, !needs)
	}
	volumes := map[string]bool{"data": slices.Contains([]string{"statefulset", "shards", "lease", "pair"}, name)} // of a claim
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("the mount %s has no volume", m.Name)
		}
	}
	if c.Name != "cton" {
		return
	}
	if name != "cronjob" && (c.LivenessProbe == nil || c.ReadinessProbe == nil || c.StartupProbe == nil) {
		t.Error("the pod has no probes")
	}
	want := map[string]string{"small": "900000000"}[name]
	if want == "" {
		want = "241591910" // nine tenths of 256 MiB
	}
	if i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "GOMEMLIMIT" }); i < 0 || c.Env[i].Value != want {
		t.Errorf("the environment is %v, want GOMEMLIMIT=%s", c.Env, want)
	}
}

// variable returns the value of an environment variable of a container, or "" if the container does not have the variable.
func variable(c *corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// checkLease checks that the role allows only what the program does: create a lease, and get and patch its own lease. It also checks that
// the pods have the role.
func checkLease(t *testing.T, manifests []string) {
	verbs, bound, account, lease := map[string][]string{}, "", "", ""
	for _, m := range manifests {
		switch o := decode(t, m).(type) {
		case *rbacv1.Role:
			for _, r := range o.Rules {
				if !slices.Equal(r.APIGroups, []string{"coordination.k8s.io"}) || !slices.Equal(r.Resources, []string{"leases"}) {
					t.Errorf("a rule is %+v", r)
				}
				verbs[strings.Join(r.ResourceNames, " ")] = r.Verbs
			}
		case *rbacv1.RoleBinding:
			bound = o.Subjects[0].Kind + " " + o.Subjects[0].Namespace + "/" + o.Subjects[0].Name
		case *appsv1.StatefulSet:
			account, lease = o.Spec.Template.Spec.ServiceAccountName, variable(&o.Spec.Template.Spec.Containers[0], "CTON_LEASE")
		}
	}
	if want := map[string][]string{lease: {"get", "patch"}, "": {"create"}}; lease == "" || !cmp.Equal(verbs, want) {
		t.Errorf("the role has %v, want %v", verbs, want)
	}
	if want := "ServiceAccount monitoring/" + account; bound != want {
		t.Errorf("the role is bound to %s, want %s", bound, want)
	}
}

// checkShards checks that a StatefulSet has as many pods as shards, and that each pod knows its shard. Pods with a lease, or with the
// variable POD_NAME (pair.enabled), are not shards: there must be two of them.
func checkShards(t *testing.T, s *appsv1.StatefulSet) {
	c := &s.Spec.Template.Spec.Containers[0]
	if variable(c, "CTON_LEASE") != "" || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "POD_NAME" }) {
		if *s.Spec.Replicas != 2 {
			t.Errorf("%d pods", *s.Spec.Replicas)
		}
		return
	}
	got, want := variable(c, "CTON_SHARD"), ""
	if n := *s.Spec.Replicas; n > 1 {
		want = fmt.Sprintf("ordinal/%d", n)
	}
	if got != want {
		t.Errorf("%d pods with CTON_SHARD=%q, want %q", *s.Spec.Replicas, got, want)
	}
}

// checkConfig checks the configuration with the binary that the variable CTON names. It does nothing if CTON is not set.
func checkConfig(t *testing.T, config string) {
	cton := os.Getenv("CTON")
	if cton == "" {
		t.Log("CTON does not name a binary, so the configuration is not checked")
		return
	}
	file := filepath.Join(t.TempDir(), "cton.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cton, "check", "-c", file)
	cmd.Env = append(os.Environ(), "API_KEY=x", "POD_NAME=cton-0")
	if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "/run/secrets/") {
		t.Errorf("%v: %s\n%s", err, out, config)
	}
}

// checkPlain compares the manifests, without the pod of helm test, with those in deploy/kubernetes. With -update it writes them there.
func checkPlain(t *testing.T, name string, manifests []string) {
	var plain []string
	for _, m := range manifests {
		if !strings.Contains(m, "helm.sh/hook") {
			plain = append(plain, without(m, "helm.sh/chart:", "app.kubernetes.io/managed-by:"))
		}
	}
	file := filepath.Join("..", "..", "kubernetes", name+".yaml")
	got := fmt.Sprintf("# From the chart in deploy/helm/cton with the values of deploy/helm/check/testdata/%s.yaml.\n%s\n", name, strings.Join(plain, "\n---\n"))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("deploy/kubernetes/%s.yaml is not what the chart makes; go test -update writes it:\n%s", name, diff)
	}
}

// without returns a text after removing all lines that begin with one of the given words.
func without(text string, words ...string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(strings.TrimSpace(line), w) }) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestGuide renders the chart with the values that the guide shows. It checks that this is possible, and that each StatefulSet has the
// right shards.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../guides/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(guide), "```yaml values\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("the guide shows no values")
	}
	for _, block := range blocks {
		values, _, _ := strings.Cut(block, "```")
		manifests, err := render(t, []byte(values))
		if err != nil {
			t.Errorf("%v\n%s", err, values)
		}
		for _, m := range manifests {
			if s, is := decode(t, m).(*appsv1.StatefulSet); is {
				checkShards(t, s)
			}
		}
	}
}

// TestMistakes checks that a mistake in the values causes an error that names the mistake.
func TestMistakes(t *testing.T) {
	for values, want := range map[string]string{
		"kind: DaemonSet":        "kind",
		"shards: 3":              "StatefulSet",
		"lease: {enabled: true}": "StatefulSet",
		"pair: {enabled: true}":  "StatefulSet",
		"{kind: StatefulSet, shards: 2, lease: {enabled: true}}":             "only one of",
		"{kind: StatefulSet, pair: {enabled: true}, lease: {enabled: true}}": "only one of",
		"{kind: StatefulSet, shards: 0}":                                     "shards",
		"persistance: {enabled: true}":                                       "persistance",
		"persistence: {sizes: 1Gi}":                                          "sizes",
		"image: {digest: abc}":                                               "digest",
		"serviceMonitor: {enabled: true}":                                    "metrics.port",
		"metrics: {port: 99999}":                                             "port",
		"secretMounts: [{secretName: a, mountPath: relative}]":               "mountPath",
	} {
		if _, err := render(t, []byte(values)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want one with %s", values, err, want)
		}
	}
}

// TestUnknownField checks that decoding a manifest returns an error for a field that does not exist.
func TestUnknownField(t *testing.T) {
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	_, _, err := strict.Decode([]byte("apiVersion: v1\nkind: Pod\nspec: {restartPolize: Never}\n"), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "restartPolize") {
		t.Errorf("the error is %v", err)
	}
}
