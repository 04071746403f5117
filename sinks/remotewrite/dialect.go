package remotewrite

import (
	"sync"
	"time"
)

// probeEvery is how often a receiver that did not take 2.0 is offered it again.
const probeEvery = 24 * time.Hour

// dialect remembers which protocol the receiver takes.
type dialect struct {
	want Protocol

	mu      sync.Mutex
	fallen  time.Time // when we fell back to 1.0; zero = we have not
	taken   bool      // the receiver has taken a request of 2.0 since
	guessed bool      // we fell back on a guess
	why     string    // the answer on which we fell back, until the receiver has taken 1.0
}

// speak is the protocol of the next request: Protocol1 or Protocol2.
func (d *dialect) speak(now time.Time) Protocol {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.want != Auto:
		return d.want
	case d.fallen.IsZero() || now.Sub(d.fallen) >= probeEvery:
		return Protocol2
	}
	return Protocol1
}

// fallBack turns to 1.0 after this answer to a request in protocol p, if it may, and tells whether it has. The answer may
// be a guess: some receivers of 1.0 call a request of 2.0 bad, so 1.0 is worth a try until they have taken 2.0.
func (d *dialect) fallBack(p Protocol, a answer, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	silent := a.code/100 == 2 && !a.told
	guess := (a.code == 400 || a.code == 406) && !a.told && !d.taken
	if d.want != Auto || p != Protocol2 || !silent && a.code != 415 && !guess {
		return false
	}
	if d.fallen.IsZero() {
		d.why = a.status()
		if silent {
			d.why += ", without saying what was written"
		}
	}
	d.fallen, d.taken, d.guessed = now, false, guess
	return true
}

// accepted notes that the receiver has taken a request, and gives what is to be logged of it and the answer that it is
// about, "" = nothing.
func (d *dialect) accepted(p Protocol) (news, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.want != Auto:
	case p == Protocol1:
		if d.why != "" {
			news = "the receiver does not take remote-write 2.0: sending 1.0"
		}
		why, d.why, d.guessed = d.why, "", false
	default:
		if !d.fallen.IsZero() {
			news = "the receiver takes remote-write 2.0 now"
		}
		d.fallen, d.taken = time.Time{}, true
	}
	return news, why
}

// refused undoes a guess: 1.0 was refused too, so the protocol was not the reason.
func (d *dialect) refused() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.guessed {
		d.fallen, d.guessed, d.why = time.Time{}, false, ""
	}
}
