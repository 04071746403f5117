// Package kubernetes runs a Kubernetes cluster on this machine and tests the Helm chart in it: installed, upgraded, rolled back, with
// pods that are killed, moved and added. make e2e-kubernetes starts it.
//
// The test binary contains all programs of the cluster: etcd, the API server, the controllers, the scheduler, and two nodes. Each is a
// process that runs the binary again with the name of its part. They and the pods have process, mount and network namespaces of their own,
// so they end with the test and cannot change the machine. Pods run in the kubelet with a container runtime of this package, which
// starts the command of a container as a process.
package kubernetes
