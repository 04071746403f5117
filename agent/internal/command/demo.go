package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/demo"
	"github.com/collectington/collectington/deploy/examples"
)

type demoCmd struct {
	Listen string `default:"127.0.0.1:8000" help:"The address of the page; an address that is open to the network shows less." placeholder:"ADDRESS"`
}

// The sample API: its preferred address, and how far back its data goes.
const (
	demoAddress = "127.0.0.1:8001"
	demoPast    = 3 * time.Minute
)

const demoTroubles = "Every 5 minutes the API is slow, then fails, then its total starts from zero: see on the page what becomes of it."

// Run runs the agent with the sample API until the context ends.
func (c *demoCmd) Run(ctx context.Context, a *App, g *globals) error {
	api, stop, err := serveDemo()
	if err != nil {
		return fmt.Errorf("serve the sample API: %w", err)
	}
	defer stop()
	text := []byte(examples.Demo(api, c.Listen))
	own, where := *g, "in memory, since no file can be written"
	load := func() (*config.Plan, error) { return config.Load("cton.yaml", text, a.Catalogue) }
	if file, remove, err := writeDemo(text); err == nil {
		defer remove()
		own.Config, where = []string{file}, file
		load = func() (*config.Plan, error) { return a.load(&own, "") }
	}
	plan, err := load()
	if err != nil {
		return err
	}
	page := pageURL(c.Listen)
	fmt.Fprintf(a.Out, "page:    %s/\nmetrics: %s/metrics\nAPI:     %s\nconfig:  %s\n%s\nStop with Ctrl-C.\n", page, page, api+demo.Path, where, demoTroubles)
	err = (&service{App: a, paths: own.Config, load: load, asked: make(chan struct{}, 1)}).run(ctx, plan)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("serve the page: %s is in use by another program; choose another address, as in: cton demo --listen 127.0.0.1:8010", c.Listen)
	}
	return err
}

// writeDemo writes the demo's configuration to a file in a new directory, so that users can look at it and change it. The result "remove"
// is a function that deletes the directory.
func writeDemo(text []byte) (file string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "cton-demo-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	file = filepath.Join(dir, "cton.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		remove()
		return "", nil, err
	}
	return file, remove, nil
}

// serveDemo serves the sample API on the loopback interface. It returns the base URL of the API and a function that stops it.
func serveDemo() (root string, stop func(), err error) {
	l, err := net.Listen("tcp", demoAddress)
	if err != nil {
		// The port is in use, perhaps by another demo: use any free port.
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", nil, err
	}
	now := time.Now()
	server := &http.Server{Handler: demo.Troubled(now.Add(-demoPast), now, time.Now), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }() // returns an error when stop closes the server
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}

// pageURL returns the URL, without a path, at which a browser on this machine reaches a server that listens on an address.
func pageURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
