// Package check renders the chart with helm's engine and decodes what comes out strictly, as an API server does. It is a module of
// its own, since helm and client-go are larger than cton.
package check
