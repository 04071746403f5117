//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Addresses of the two networks, and of the machine between them.
const (
	inside, gate = "10.99.0.2", "10.99.0.1"
	outside, far = "198.51.100.1", "198.51.100.2"
)

// TestBehindNAT delivers from a private network to a receiver that has no way back into it, and cuts the line between.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	private, public := network(t)
	r := newPrometheus(t, ":9090", "http://"+far+":9090", public.to(t, "127.0.0.1:9090"), public.command()...)
	r.begin(t)
	r.answers(ctx, t)
	l := private.listen(t, inside+":9100")
	page := export(t, l)
	config := write(t, t.TempDir(), "cton.yaml", scraping(l.Addr(), r.root, filepath.Join(t.TempDir(), "spool")))
	start := private.command(environment(t, "CTON"), "run", "-c", config)
	agent := begin(t, start[0], start[1:]...)
	r.reaches(ctx, t, page.wait(ctx, t, 5))

	public.run(t, "ip", "link", "set", "line", "down") // packets go nowhere, and nobody says so
	cut := time.Now()
	last := page.wait(ctx, t, 0)
	for time.Since(cut) < 20*time.Second {
		page.wait(ctx, t, 1)
	}
	stored, err := r.stored(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := newest(stored); got > last {
		t.Errorf("scrape %d has come over a line that was cut at scrape %d", got, last)
	}
	public.run(t, "ip", "link", "set", "line", "up")
	restored := time.Now()
	r.reaches(ctx, t, page.wait(ctx, t, 1))
	t.Logf("all there %s after the line", time.Since(restored).Round(time.Second))
	page.wait(ctx, t, 2)
	agent.stop(t, 15*time.Second)

	if stored, err = r.stored(ctx); err != nil {
		t.Fatal(err)
	}
	page.compare(t, stored, func(int, time.Time) bool { return false })
	r.droppedNothing(ctx, t)
}

// network makes a private network behind a machine that lends it its address, and a public one, which cannot answer
// private addresses.
func network(t *testing.T) (private, public *namespace) {
	t.Helper()
	private, public = newNamespace(t), newNamespace(t)
	middle := newNamespace(t)
	middle.run(t, "ip", "link", "add", "in", "type", "veth", "peer", "name", "line", "netns", private.path)
	middle.run(t, "ip", "link", "add", "out", "type", "veth", "peer", "name", "line", "netns", public.path)
	for _, end := range []struct {
		n             *namespace
		name, address string
	}{{private, "line", inside}, {middle, "in", gate}, {middle, "out", outside}, {public, "line", far}} {
		end.n.run(t, "ip", "address", "add", end.address+"/24", "dev", end.name)
		end.n.run(t, "ip", "link", "set", end.name, "up")
	}
	private.run(t, "ip", "route", "add", "default", "via", gate)
	middle.run(t, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	middle.run(t, "nft", "add table ip nat; "+
		"add chain ip nat leave { type nat hook postrouting priority 100; }; "+
		`add rule ip nat leave oifname "out" masquerade`)
	return private, public
}
