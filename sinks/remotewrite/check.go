package remotewrite

import (
	"context"
	"fmt"

	"github.com/golang/snappy"

	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Check asks the receiver to take a request without samples. That it calls such a request bad is an answer too.
func (s *sink) Check(ctx context.Context) error {
	p, post := max(s.sender.dialect.want, Protocol1), s.sender.post
	b := wire.NewTable().NewBuilder()
	b.Begin(wire.Protocol(p))
	a, err := post.send(ctx, p, snappy.Encode(nil, b.End().Raw))
	switch {
	case err != nil:
		return err
	case a.code/100 == 2, a.code == 400:
		return nil
	case a.code == 415 && s.sender.dialect.want == Auto:
		return nil // it takes 2.0 alone
	case a.code == 415:
		return fmt.Errorf("%w (it does not take remote-write %s: set protocol to auto)", a.error(post.place), p)
	}
	return a.advised(post.place)
}
