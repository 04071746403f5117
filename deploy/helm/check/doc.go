// Package check renders the chart with the engine of helm and decodes the result strictly, as a Kubernetes API server does. It is a
// separate module, because its dependencies helm and client-go are larger than cton.
package check
