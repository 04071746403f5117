// Package kubernetes runs a Kubernetes cluster on this machine and tests the Helm chart in it. The tests install, upgrade and roll back the
// chart, and kill, move and add pods. The command make e2e-kubernetes starts them.
//
// The test binary contains all programs of the cluster: etcd, the API server, the controllers, the scheduler, and two nodes. Each program
// is a process that runs the binary again, with the name of its part. These processes and the pods have process, mount and network
// namespaces of their own. So they end with the test and cannot change the machine. Pods run in the kubelet with a container runtime of
// this package, which starts the command of a container as a process.
package kubernetes
