package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/agent/setting"
)

// save writes the recorded exchanges to a file as a test of the job. It then runs the test, which adds the expected metrics to the
// file. Secrets are replaced.
func (c *tryCmd) save(ctx context.Context, a *App, g *globals, r *recorder, at time.Time) error {
	text, err := archiveOf(c.Job, r, a.vault, at)
	if err != nil {
		return fmt.Errorf("--save: %w", err)
	}
	f, err := os.OpenFile(c.Save, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("--save: %s exists: choose another name, or delete it", c.Save)
	}
	if err != nil {
		return fmt.Errorf("--save: %w", err)
	}
	if _, err = f.WriteString(text); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("--save: %w", err)
	}
	test, flags := &testCmd{Update: true}, *g
	if result := test.test(ctx, a, &flags, c.Save); !result.OK {
		return fmt.Errorf("--save: %s is written, but does not pass as a test yet:\n%s", c.Save, strings.Join(result.Failures, "\n"))
	}
	fmt.Fprintf(a.Err, "saved: run it with: cton test -c %s %s; ask it again with: cton try %s --replay %s\n", strings.Join(g.Config, " -c "), c.Save, c.Job, c.Save)
	return nil
}

// archiveOf returns the recorded exchanges as the archive of a test, without expectations.
func archiveOf(job string, r *recorder, vault *setting.SecretStore, at time.Time) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return "", errors.New("the job sent no HTTP request, so there is nothing to save")
	}
	if r.bytes > maxRecordedBytes || len(r.all) == maxRecorded {
		return "", fmt.Errorf("more than %d exchanges or %s cannot be saved", maxRecorded, setting.Bytes(maxRecordedBytes))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Recorded by cton try %s --save. Secrets are replaced.\njob: %s\nstart: %s\n", job, job, at.UTC().Format(time.RFC3339))
	seen := map[string]bool{}
	for _, one := range r.all {
		u, err := url.Parse(one.url)
		if err != nil || !utf8.Valid(one.body) {
			return "", fmt.Errorf("cannot save the response to %s in a test: it is not text", one.method)
		}
		section := one.method + " " + u.EscapedPath()
		if query := keptQuery(u.Query(), vault); query != "" {
			section += "?" + query
		}
		body := strings.TrimSpace(one.asked)
		plain := body != "" && !strings.Contains(body, "\n") && vault.Scrub(body) == body
		if key := section + "\n" + body; seen[key] {
			continue
		} else {
			seen[key] = true
		}
		fmt.Fprintf(&b, "-- 1 %s --\n", section)
		if plain {
			fmt.Fprintf(&b, "> %s\n", body)
		}
		fmt.Fprintf(&b, "HTTP/1.1 %d\n", one.status)
		for _, name := range slices.Sorted(maps.Keys(one.header)) {
			if slices.Contains([]string{"Content-Length", "Date", "Set-Cookie", "Transfer-Encoding", "Connection"}, name) {
				continue
			}
			for _, value := range one.header[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, vault.Scrub(value))
			}
		}
		text := vault.Scrub(string(one.body))
		if strings.HasPrefix(text, "-- ") || strings.Contains(text, "\n-- ") {
			return "", fmt.Errorf("cannot save the response to %s in a test: it has a line that begins with --, as the parts of a test do", section)
		}
		fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(text, "\n"))
	}
	b.WriteString("-- 1 metrics --\n-- 1 errors --\n")
	return b.String(), nil
}

// keptQuery returns the query as text, or "" if it contains a secret: the test then accepts any query.
func keptQuery(query url.Values, vault *setting.SecretStore) string {
	text := query.Encode()
	if vault.Scrub(text) != text {
		return ""
	}
	return text
}

// replayed returns a saved test. Its responses answer requests in place of the network.
func (c *tryCmd) replayed(a *App, g *globals) (*jobtest.Test, error) {
	text, err := os.ReadFile(c.Replay)
	if err != nil {
		return nil, fmt.Errorf("--replay: %w", err)
	}
	t, err := jobtest.Parse(c.Replay, text)
	if err != nil {
		return nil, fmt.Errorf("--replay: %w", err)
	}
	t.Responses.Begin(1)
	a.vault.LookupEnv = t.LookupEnv
	a.vault.StandIns = append([]string{}, slices.Sorted(maps.Keys(t.Env))...)
	return t, nil
}
