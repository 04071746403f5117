package deliver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Fallbacks end. After probeInterval, a record is sent in 2.0 again. If the fallback was not after 415, something else than the
// receiver may have answered: so a request without samples, which is small, is sent in 2.0 each smallProbeInterval.
const (
	probeInterval      = 24 * time.Hour
	smallProbeInterval = 5 * time.Minute
)

// negotiation finds the protocol that the receiver accepts. It starts with 2.0 and falls back to 1.0.
type negotiation struct {
	fixed    wire.Protocol // the only protocol to send; 0 = negotiate
	memory   sinks.Memory  // nil = a restart begins with 2.0
	receiver string        // its URL

	remembered sync.Once

	mu       sync.Mutex
	fellBack time.Time // zero = 2.0 is sent
	accepts2 bool      // a request of 2.0 was accepted, since the last fallback
	unclear  bool      // the fallback was not after 415
	probed   time.Time // the last small probe, or the fallback
	guessed  bool      // the fallback was after a response that may have had another reason
	why      string    // the response before the fallback; "" once the receiver has accepted 1.0
	reason   string    // the same, until 2.0 is accepted
}

// remembered is what the sink's memory has of a receiver.
type remembered struct {
	Receiver string    `json:"receiver"` // a digest, since a URL may have a secret
	FellBack time.Time `json:"fell_back,omitzero"`
	Unclear  bool      `json:"unclear,omitempty"`
}

func (n *negotiation) digest() string {
	sum := sha256.Sum256([]byte(n.receiver))
	return hex.EncodeToString(sum[:8])
}

// recall continues a fallback of an earlier process.
func (n *negotiation) recall() {
	if n.memory == nil || n.fixed != 0 {
		return
	}
	var m remembered
	if json.Unmarshal(n.memory.Load(), &m) == nil && m.Receiver == n.digest() {
		n.fellBack, n.unclear, n.probed = m.FellBack, m.Unclear, m.FellBack
	}
}

// remember stores what the receiver accepts.
func (n *negotiation) remember() {
	if n.memory == nil {
		return
	}
	if text, err := json.Marshal(remembered{n.digest(), n.fellBack, n.unclear}); err == nil {
		n.memory.Store(text)
	}
}

// current returns the protocol of the next request.
func (n *negotiation) current(now time.Time) wire.Protocol {
	n.remembered.Do(n.recall)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.fixed != 0:
		return n.fixed
	case n.fellBack.IsZero() || now.Sub(n.fellBack) >= probeInterval:
		return wire.V2
	}
	return wire.V1
}

// describe returns the protocol of the next request, and why it is that one.
func (n *negotiation) describe(now time.Time) string {
	p := n.current(now)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.fixed != 0:
		return "remote-write " + p.String() + ", as configured"
	case n.reason != "":
		return "remote-write " + p.String() + ", since the receiver answered 2.0 with: " + n.reason
	case !n.fellBack.IsZero():
		return "remote-write " + p.String() + ", since the receiver did not accept 2.0"
	case n.accepts2:
		return "remote-write " + p.String() + ", which the receiver accepts"
	}
	return "remote-write " + p.String() + " is tried first; the receiver has not answered yet"
}

// fallBack falls back to 1.0 if a response to a request in protocol p gives reason to, and reports whether it does.
//
// The reasons are 415, and a 2xx without the headers of what was written. 400 and 406 are a reason until the receiver has
// accepted 2.0, since some receivers of 1.0 answer them to 2.0.
func (n *negotiation) fallBack(p wire.Protocol, r response, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	silent := r.code/100 == 2 && !r.hasWritten
	guess := (r.code == 400 || r.code == 406) && !r.hasWritten && !n.accepts2
	if n.fixed != 0 || p != wire.V2 || !silent && r.code != 415 && !guess {
		return false
	}
	if n.fellBack.IsZero() {
		n.why = r.status()
		if silent {
			n.why += ", without the " + samplesHeader + " header"
		}
		n.reason = n.why
	}
	n.fellBack, n.accepts2, n.guessed = now, false, guess
	n.unclear, n.probed = r.code != 415, now
	return true
}

// probeDue reports whether a small probe is due, and counts it as sent.
func (n *negotiation) probeDue(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fellBack.IsZero() || !n.unclear || n.guessed || now.Sub(n.probed) < smallProbeInterval {
		return false
	}
	n.probed = now
	return true
}

// accepted notes that a request in protocol p was accepted. It returns a message to log if that decides the protocol, and
// the response that was the reason for a fallback.
func (n *negotiation) accepted(p wire.Protocol) (message, why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.fixed != 0:
	case p == wire.V1:
		if n.why != "" {
			message = "the receiver does not accept remote-write 2.0: sending 1.0"
			n.remember()
		}
		why, n.why, n.guessed = n.why, "", false
	default:
		if !n.fellBack.IsZero() {
			message = "the receiver accepts remote-write 2.0 now"
		}
		changed := !n.fellBack.IsZero()
		n.fellBack, n.accepts2, n.reason = time.Time{}, true, ""
		if changed {
			n.remember()
		}
	}
	return message, why
}

// rejected notes that all of a record was rejected. A fallback that was a guess is undone: 1.0 was rejected too.
func (n *negotiation) rejected() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.guessed {
		n.fellBack, n.guessed, n.why = time.Time{}, false, ""
	}
}

const (
	maxSize      = 4 << 20   // of a request that no receiver has called too large, without its last group
	minSizeLimit = 16 << 10  // a smaller request that is too large has another reason
	sizeLimitFor = time.Hour // after which larger requests are tried again
)

// sizeLimit is the size of the largest request that the receiver may accept, in bytes before compression.
type sizeLimit struct {
	mu    sync.Mutex
	limit int
	until time.Time
}

func (l *sizeLimit) bytes(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return l.limit
	}
	return maxSize
}

// exceeded notes that a request of this size was too large.
func (l *sizeLimit) exceeded(size int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size /= 2; size >= minSizeLimit && (size < l.limit || !now.Before(l.until)) {
		l.limit, l.until = size, now.Add(sizeLimitFor)
	}
}
