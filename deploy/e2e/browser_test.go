//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a headless Chromium, controlled with the DevTools protocol through a pipe: JSON messages, each followed by a zero byte
// (https://chromedevtools.github.io/devtools-protocol/).
type browser struct {
	in io.Writer

	mu      sync.Mutex
	last    int
	answers map[int]chan reply
	session string   // of the tab
	faults  []string // errors and warnings of the console and the network
	loaded  chan struct{}

	axe string // the source of axe-core; "" = there is none
}

type reply struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct{ Message string }
}

// startBrowser starts Chromium with one tab.
func startBrowser(ctx context.Context, t *testing.T) *browser {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(env(t, "CHROMIUM"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--remote-debugging-pipe", "--user-data-dir="+home)
	cmd.ExtraFiles = []*os.File{out, answer} // descriptors 3 and 4
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+os.Getenv("CHROMIUM_LIBRARIES"), "HOME="+home)
	startCommand(t, cmd)
	out.Close()
	answer.Close()
	b := &browser{in: in, answers: map[int]chan reply{}, loaded: make(chan struct{}, 16)}
	go b.read(answers)
	if file := os.Getenv("AXE"); file == "" {
		t.Log("axe-core is not there: only Chromium's accessibility tree is checked")
	} else if source, err := os.ReadFile(file); err != nil {
		t.Fatal(err)
	} else {
		b.axe = string(source)
	}
	var target struct{ TargetID string }
	b.call(ctx, t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call(ctx, t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "Accessibility"} {
		b.call(ctx, t, domain+".enable", nil, nil)
	}
	return b
}

// read reads what Chromium sends, until Chromium ends.
func (b *browser) read(from io.Reader) {
	messages := bufio.NewReaderSize(from, 1<<20)
	for {
		text, err := messages.ReadBytes(0)
		if err != nil {
			return
		}
		var r reply
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &r) != nil {
			continue
		}
		b.mu.Lock()
		switch r.Method {
		case "":
			b.answers[r.ID] <- r
			delete(b.answers, r.ID)
		case "Page.loadEventFired":
			b.loaded <- struct{}{}
		case "Runtime.exceptionThrown", "Log.entryAdded":
			b.faults = append(b.faults, string(r.Params))
		case "Runtime.consoleAPICalled":
			b.faults = append(b.faults, "console: "+string(r.Params))
		}
		b.mu.Unlock()
	}
}

// call calls a method of the DevTools protocol and waits for its result.
func (b *browser) call(ctx context.Context, t *testing.T, method string, params map[string]any, result any) {
	t.Helper()
	b.mu.Lock()
	b.last++
	id, answered := b.last, make(chan reply, 1)
	b.answers[id] = answered
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	select {
	case r := <-answered:
		err = nil
		if r.Error != nil {
			err = errors.New(r.Error.Message)
		} else if result != nil {
			err = json.Unmarshal(r.Result, result)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// open opens a page in a window of the given width, with the color scheme light or dark, and waits until it is loaded.
func (b *browser) open(ctx context.Context, t *testing.T, url string, width int, scheme string) {
	t.Helper()
	b.call(ctx, t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call(ctx, t, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	for len(b.loaded) > 0 {
		<-b.loaded
	}
	b.call(ctx, t, "Page.navigate", map[string]any{"url": url}, nil)
	select {
	case <-b.loaded:
	case <-ctx.Done():
		t.Fatalf("%s is not loaded", url)
	}
}

// eval returns the value of a JavaScript expression as text.
func (b *browser) eval(ctx context.Context, t *testing.T, expression string) string {
	t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails any
	}
	b.call(ctx, t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		t.Fatalf("%s: %v", expression, r.ExceptionDetails)
	}
	return fmt.Sprint(r.Result.Value)
}

// until waits until a JavaScript expression is true.
func (b *browser) until(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	for b.eval(ctx, t, "Boolean("+expression+")") != "true" {
		select {
		case <-ctx.Done():
			t.Fatalf("never true: %s\n%s", expression, b.eval(ctx, t, "document.body.innerText"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// complaints returns the errors and warnings of the console and the network since the previous call.
func (b *browser) complaints() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := strings.Join(b.faults, "\n")
	b.faults = nil
	return all
}

// screenshot writes a picture of the whole page to a file.
func (b *browser) screenshot(ctx context.Context, t *testing.T, file string) {
	t.Helper()
	var r struct{ Data []byte }
	b.call(ctx, t, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	if err := os.WriteFile(file, r.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// unnamed returns the elements of the accessibility tree for which a screen reader has no name.
func (b *browser) unnamed(ctx context.Context, t *testing.T) []string {
	t.Helper()
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	b.call(ctx, t, "Accessibility.getFullAXTree", nil, &tree)
	var all []string
	roles := map[string]int{}
	for _, n := range tree.Nodes {
		role, name := fmt.Sprint(n.Role.Value), strings.TrimSpace(fmt.Sprint(n.Name.Value))
		if n.Ignored {
			continue
		}
		roles[role]++
		switch role {
		case "link", "button", "searchbox", "textbox", "image", "img", "heading", "columnheader", "region", "RootWebArea":
			if name == "" || name == "<nil>" {
				all = append(all, role)
			}
		}
	}
	if roles["main"] != 1 || roles["banner"] != 1 || roles["heading"] == 0 || roles["contentinfo"] != 1 {
		all = append(all, fmt.Sprintf("landmarks: %d main, %d banner, %d contentinfo, %d headings", roles["main"], roles["banner"], roles["contentinfo"], roles["heading"]))
	}
	return all
}

// breaks returns the rules of axe-core that the page violates, and for each rule the elements that violate it. It returns "" if there is no
// axe-core.
func (b *browser) breaks(ctx context.Context, t *testing.T) string {
	t.Helper()
	if b.axe == "" {
		return ""
	}
	b.eval(ctx, t, b.axe+"; 0")
	return b.eval(ctx, t, `axe.run(document, { resultTypes: ["violations"], preload: false }).then((r) => r.violations.map((v) =>
		v.id + " (" + v.impact + "): " + v.help + "\n" + v.nodes.slice(0, 5).map((n) => "  " + n.html + "\n  " + n.failureSummary.replaceAll("\n", "\n  ")).join("\n")).join("\n"))`)
}

// pale is JavaScript that returns texts whose contrast with their background is below 4.5 (WCAG 2.2, 1.4.3), and elements that are wider
// than the window.
const pale = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
	const found = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || e.closest("svg, script, .skip") || !e.checkVisibility()) continue;
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) found.add(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + walk.currentNode.data.trim().slice(0, 30));
	}
	if (document.documentElement.scrollWidth > innerWidth) found.add("the page is " + document.documentElement.scrollWidth + " wide in a window of " + innerWidth);
	return [...found].join("\n");
})()`
