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

// A fallback to 1.0 ends after probeInterval: a record is then sent in 2.0 again. If the reason for the fallback was not a 415, the
// response was perhaps not from the receiver but from another server. In that case a request without samples, which is small, is also sent
// in 2.0 every smallProbeInterval.
const (
	probeInterval      = 24 * time.Hour
	smallProbeInterval = 5 * time.Minute
)

// A request that is refused in one protocol may be accepted in the other: the receiver may have been replaced by an older or newer version,
// or is another one behind the same balancer. So the delivery tries the other protocol before the samples are dropped. A receiver that
// refuses bad samples in both protocols would then get each of these requests twice. So after a trial without success, the next one is
// trialPause later if 2.0 has been accepted since, or if there were maxTrials such trials. A receiver that has never accepted 2.0 is not
// spared: nothing is known of it.
const (
	trialPause = 10 * time.Minute
	maxTrials  = 10
)

// negotiation finds out which protocol the receiver accepts. It starts with 2.0 and falls back to 1.0.
type negotiation struct {
	fixed    wire.Protocol // the only protocol to send; 0 = negotiate
	memory   sinks.Memory  // keeps a fallback over restarts; nil = each start begins with 2.0
	receiver string        // the URL of the receiver

	remembered sync.Once

	mu       sync.Mutex
	fellBack time.Time // time of the newest fallback; zero = 2.0 is sent
	accepts2 bool      // the receiver has accepted a request in 2.0 since the newest fallback
	unclear  bool      // the fallback was not after 415
	probed   time.Time // when the last small probe was sent, at first the time of the fallback
	failed   int       // number of trials without success since 2.0 was accepted last
	failedAt time.Time // when the last trial without success ended; zero = the last trial was a success, or there was none
	why      string    // the response that led to the fallback; "" once the receiver has accepted 1.0
	reason   string    // like why, but kept until 2.0 is accepted
}

// remembered is what the sink's memory stores about a receiver.
type remembered struct {
	Receiver string    `json:"receiver"` // a digest of the URL, since the URL may contain a secret
	FellBack time.Time `json:"fell_back,omitzero"`
	Unclear  bool      `json:"unclear,omitempty"`
}

func (n *negotiation) digest() string {
	sum := sha256.Sum256([]byte(n.receiver))
	return hex.EncodeToString(sum[:8])
}

// recall restores the fallback that an earlier process has stored.
func (n *negotiation) recall() {
	if n.memory == nil || n.fixed != 0 {
		return
	}
	var m remembered
	if json.Unmarshal(n.memory.Load(), &m) == nil && m.Receiver == n.digest() {
		n.fellBack, n.unclear, n.probed = m.FellBack, m.Unclear, m.FellBack
	}
}

// remember stores whether and when the sink has fallen back.
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

// describe returns a text that names the protocol of the next request and says why this protocol is used.
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

// fallBack falls back to 1.0 if the response r to a request in protocol p shows that the receiver does not accept 2.0, and reports whether
// it does. The responses that show this are 415, and a 2xx without the headers that say what was written.
func (n *negotiation) fallBack(p wire.Protocol, r response, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	silent := r.code/100 == 2 && !r.hasWritten
	if n.fixed != 0 || p != wire.V2 || !silent && r.code != 415 {
		return false
	}
	why := r.status()
	if silent {
		why += ", without the " + samplesHeader + " header"
	}
	n.fall(why, silent, now)
	return true
}

func (n *negotiation) fall(why string, unclear bool, now time.Time) {
	if n.fellBack.IsZero() {
		n.why, n.reason = why, why
	}
	n.fellBack, n.accepts2 = now, false
	n.unclear, n.probed = unclear, now
}

// other returns the other protocol, if a request that was refused in protocol p with the response r is to be tried in it, and 0 otherwise.
// Any refusal of 2.0 may be due to the protocol, except 413, and one that says what was written. Of 1.0, only 415 is: a receiver that has
// refused 2.0 before means the samples by another refusal.
func (n *negotiation) other(p wire.Protocol, r response, now time.Time) wire.Protocol {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fixed != 0 || r.hasWritten || r.code/100 != 4 || r.code == 413 || p == wire.V1 && r.code != 415 {
		return 0
	}
	rarely := p == wire.V1 || n.failed == 0 || n.failed >= maxTrials && n.accepts2
	if rarely && now.Sub(n.failedAt) < trialPause {
		return 0
	}
	if p == wire.V1 {
		return wire.V2
	}
	return wire.V1
}

// tried notes how the trial of a request in protocol p ended that was refused in the other protocol with the response why.
func (n *negotiation) tried(p wire.Protocol, why string, accepted bool, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !accepted:
		n.failed++
		n.failedAt = now
		return
	case p == wire.V1 && (n.fellBack.IsZero() || now.Sub(n.fellBack) >= probeInterval): // otherwise, another shard was faster
		n.fall(why, true, now)
	}
	n.failed, n.failedAt = 0, time.Time{}
}

// probeDue reports whether it is time for a small probe. If so, it counts the probe as sent.
func (n *negotiation) probeDue(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fellBack.IsZero() || !n.unclear || now.Sub(n.probed) < smallProbeInterval {
		return false
	}
	n.probed = now
	return true
}

// accepted is called when a request in protocol p was accepted. If this decides the protocol, the first result is a message to log. The
// second result is the response that was the reason for the fallback.
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
		why, n.why = n.why, ""
	default:
		if !n.fellBack.IsZero() {
			message = "the receiver accepts remote-write 2.0 now"
		}
		changed := !n.fellBack.IsZero()
		n.fellBack, n.accepts2, n.reason, n.failed = time.Time{}, true, "", 0
		if changed {
			n.remember()
		}
	}
	return message, why
}

const (
	maxSize      = 4 << 20   // size of a request before its final group is added, as long as no request was too large
	minSizeLimit = 16 << 10  // lower bound of the limit; if a smaller request is refused as too large, its size is not the problem
	sizeLimitFor = time.Hour // time after which larger requests are tried again
)

// sizeLimit finds out the size of the largest request that the receiver accepts, in bytes before compression.
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

// exceeded is called when a request of this size was too large. It halves the limit.
func (l *sizeLimit) exceeded(size int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if size /= 2; size >= minSizeLimit && (size < l.limit || !now.Before(l.until)) {
		l.limit, l.until = size, now.Add(sizeLimitFor)
	}
}
