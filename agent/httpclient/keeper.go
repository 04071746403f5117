package httpclient

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Bounds on what is kept of answers, in bytes as they came: compressed if they were.
const (
	maxAnswer  = 8 << 20
	maxAnswers = 32 << 20
)

// keeper keeps answers, those used last before others, and knows which requests are under way. The zero value is ready.
type keeper struct {
	mu       sync.Mutex
	byKey    map[digest]*list.Element
	order    list.List // of *entry; what was used last is in front
	size     int
	underWay map[digest]chan struct{}
}

type entry struct {
	key    digest
	answer *answer
}

// get is the answer that is kept; nil where there is none.
func (k *keeper) get(key digest) *answer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find(key)
}

func (k *keeper) find(key digest) *answer {
	e := k.byKey[key]
	if e == nil {
		return nil
	}
	k.order.MoveToFront(e)
	return e.Value.(*entry).answer
}

// put keeps an answer, and leaves out those unused for the longest time beyond the bound.
func (k *keeper) put(key digest, x *answer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(k.byKey[key])
	if x.size() > maxAnswer {
		return
	}
	if k.byKey == nil {
		k.byKey = map[digest]*list.Element{}
	}
	k.byKey[key] = k.order.PushFront(&entry{key, x})
	for k.size += x.size(); k.size > maxAnswers; {
		k.remove(k.order.Back())
	}
}

func (k *keeper) remove(e *list.Element) {
	if e == nil {
		return
	}
	old := k.order.Remove(e).(*entry)
	delete(k.byKey, old.key)
	k.size -= old.answer.size()
}

// claim is an answer that is young enough; or the right to ask for it, which ends with release. Who comes while another
// asks waits for that answer.
func (k *keeper) claim(ctx context.Context, key digest, maxAge time.Duration) (fresh *answer, release func(), err error) {
	for waited := false; ; waited = true {
		k.mu.Lock()
		x, other := k.find(key), k.underWay[key]
		switch {
		case x != nil && time.Since(x.at) < maxAge:
			k.mu.Unlock()
			return x, nil, nil
		case other == nil:
			release := k.begin(key)
			k.mu.Unlock()
			return nil, release, nil
		case waited: // for an answer that could not be kept: from now on each asks for itself
			k.mu.Unlock()
			return nil, func() {}, nil
		}
		k.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (k *keeper) begin(key digest) (release func()) {
	if k.underWay == nil {
		k.underWay = map[digest]chan struct{}{}
	}
	over := make(chan struct{})
	k.underWay[key] = over
	return sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.underWay, key)
		close(over)
	})
}
