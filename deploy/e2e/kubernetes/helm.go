package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/kube"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// Release is a release of a chart. Its methods do the same as the command helm.
type Release struct {
	name, namespace string
	chart           string // directory of the chart
	actions         *action.Configuration
}

// Release returns a release by its name. The release need not be installed.
func (c *Cluster) Release(name, namespace, chart string) (*Release, error) {
	config, err := c.kubeconfig("admin")
	if err != nil {
		return nil, err
	}
	cache, flags := c.file("cache"), genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.CacheDir, flags.Namespace = &config, &cache, &namespace
	r := &Release{name: name, namespace: namespace, chart: chart, actions: action.NewConfiguration()}
	r.actions.SetLogger(slog.DiscardHandler)
	return r, r.actions.Init(flags, namespace, "secret")
}

// Install runs helm install --wait --rollback-on-failure.
func (r *Release) Install(ctx context.Context, values map[string]any, timeout time.Duration) error {
	chart, err := loader.Load(r.chart)
	if err != nil {
		return err
	}
	i := action.NewInstall(r.actions)
	i.ReleaseName, i.Namespace, i.WaitStrategy, i.Timeout, i.RollbackOnFailure = r.name, r.namespace, kube.StatusWatcherStrategy, timeout, true
	_, err = i.RunWithContext(ctx, chart, values)
	return err
}

// Upgrade runs helm upgrade --wait --rollback-on-failure.
func (r *Release) Upgrade(ctx context.Context, values map[string]any, timeout time.Duration) error {
	chart, err := loader.Load(r.chart)
	if err != nil {
		return err
	}
	u := action.NewUpgrade(r.actions)
	u.Namespace, u.WaitStrategy, u.Timeout, u.RollbackOnFailure = r.namespace, kube.StatusWatcherStrategy, timeout, true
	_, err = u.RunWithContext(ctx, r.name, chart, values)
	return err
}

// Test runs helm test --logs and returns the logs.
func (r *Release) Test(timeout time.Duration) (string, error) {
	t := action.NewReleaseTesting(r.actions)
	t.Namespace, t.Timeout = r.namespace, timeout
	done, end, err := t.Run(r.name)
	var logs bytes.Buffer
	if release, is := done.(*releasev1.Release); is {
		if err := t.GetPodLogs(&logs, release); err != nil {
			return "", err
		}
	}
	if err == nil && end != nil {
		err = end()
	}
	return logs.String(), err
}

// Uninstall runs helm uninstall --wait.
func (r *Release) Uninstall(timeout time.Duration) error {
	u := action.NewUninstall(r.actions)
	u.WaitStrategy, u.Timeout = kube.StatusWatcherStrategy, timeout
	if _, err := u.Run(r.name); err != nil {
		return fmt.Errorf("uninstall %s: %w", r.name, err)
	}
	return nil
}
