package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// Part runs the part of the cluster that the program's first argument names. It returns false if there is no such part; otherwise it
// does not return.
func Part(args []string) bool {
	if len(args) < 2 {
		return false
	}
	run := map[string]func(args []string) error{
		"etcd":        etcd,
		"apiserver":   func(args []string) error { return command(apiserver.NewAPIServerCommand(), args) },
		"controllers": func(args []string) error { return command(controllers.NewControllerManagerCommand(), args) },
		"scheduler":   func(args []string) error { return command(scheduler.NewSchedulerCommand(), args) },
		"node":        node,
		"container":   becomeContainer,
	}[args[1]]
	if run == nil {
		return false
	}
	if err := run(args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", args[1], err)
	}
	os.Exit(1) // no part ends by itself
	return true
}

// command runs a program of Kubernetes. Such a program does not end normally, so command always returns an error.
func command(c *cobra.Command, args []string) error {
	c.SetArgs(args)
	return fmt.Errorf("ended with code %d", cli.Run(c))
}

// etcd serves the database of the API server. The argument is the directory of the database.
func etcd(args []string) error {
	c := embed.NewConfig()
	c.Dir, c.LogLevel = filepath.Join(args[0], "etcd"), "warn"
	c.UnsafeNoFsync = true // the data need not outlive the test
	peers, clients := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}, url.URL{Scheme: "http", Host: "127.0.0.1:2379"}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{clients}, []url.URL{clients}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	return <-e.Err()
}

// node runs a kubelet. The arguments are the number of the node, the node's directory, and the file with the client configuration.
func node(args []string) error {
	if len(args) != 3 {
		return errors.New("wants NUMBER DIRECTORY KUBECONFIG")
	}
	k, err := newKubelet(args[0], args[1], args[2])
	if err != nil {
		return err
	}
	return k.run(context.Background())
}
