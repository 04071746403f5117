package statuspage

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Times of a stream of events.
const (
	streamPause = time.Second      // minimum time between two events
	heartbeat   = 15 * time.Second // maximum time between two events
	slowReader  = 10 * time.Second // a client that takes longer to receive an event is disconnected
	longStream  = time.Hour        // a stream ends after this time; the client then connects again
)

// change is an event: the HTML of the parts of a page that have changed, by name. If Reload is true, the client has to load the
// page again, because parts were added or removed.
type change struct {
	Parts  map[string]string `json:"parts,omitempty"`
	Reload bool              `json:"reload,omitempty"`
}

// events streams the changes of a page. The query parameter "page" is the path of that page.
func (l *listener) events(w http.ResponseWriter, r *http.Request) {
	shown, err := url.Parse(r.URL.Query().Get("page"))
	if err != nil {
		http.Error(w, "want page, the path of a page", http.StatusBadRequest)
		return
	}
	select {
	case l.streams <- struct{}{}:
		defer func() { <-l.streams }()
	default:
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many streams: reload the page now and then", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	ctx, cancel := context.WithTimeout(r.Context(), longStream)
	defer cancel()
	s := &stream{w: w, control: http.NewResponseController(w), seed: l.seed, version: r.URL.Query().Get("version")}
	for ctx.Err() == nil {
		changed := l.History.Changed()
		view := l.viewOf(r, shown, l.History.now())
		if view == nil {
			return
		}
		if more, err := s.send(view.parts); !more || err != nil {
			return
		}
		if !wait(ctx, time.After(streamPause), nil) || !wait(ctx, time.After(heartbeat), changed) {
			return
		}
	}
}

// wait waits until a value arrives on one of the channels a and b, or until ctx ends. It returns false if ctx has ended.
func wait(ctx context.Context, a <-chan time.Time, b <-chan struct{}) bool {
	select {
	case <-a:
	case <-b:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// stream is the stream of events to one client. It remembers what has been sent.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seed    maphash.Seed
	version string            // version of the page that the client has
	sent    map[string]uint64 // hash of each part by name; nil until the first event has been sent
}

// versionOf returns the version of a page: a hash of its parts.
func versionOf(parts []part, seed maphash.Seed) string {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, p := range parts {
		_, _ = h.WriteString(p.name)
		_, _ = h.WriteString(string(p.html))
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// send sends the parts that have changed, or a comment if none has. If the client has another version of the page, or parts were
// added or removed, send sends Reload and returns false: the client then loads the page and connects again.
func (s *stream) send(parts []part) (more bool, err error) {
	c := change{Parts: map[string]string{}}
	if s.sent == nil {
		c.Reload = versionOf(parts, s.seed) != s.version
	} else {
		c.Reload = len(parts) != len(s.sent)
	}
	sent := make(map[string]uint64, len(parts))
	for _, p := range parts {
		hash := maphash.String(s.seed, string(p.html))
		before, known := s.sent[p.name]
		if s.sent != nil && !known {
			c.Reload = true
		}
		if known && before != hash {
			c.Parts[p.name] = string(p.html)
		}
		sent[p.name] = hash
	}
	s.sent = sent
	line := ": still here\n\n"
	if c.Reload {
		c.Parts = nil
	}
	if c.Reload || len(c.Parts) > 0 {
		text, err := json.Marshal(c)
		if err != nil {
			return false, err
		}
		line = fmt.Sprintf("data: %s\n\n", text)
	}
	return !c.Reload, s.write(line)
}

func (s *stream) write(line string) error {
	// The time limits of the server are for short answers, so replace them for this connection.
	_ = s.control.SetReadDeadline(time.Time{})
	if err := s.control.SetWriteDeadline(time.Now().Add(slowReader)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(line)); err != nil {
		return err
	}
	return s.control.Flush()
}
