package remotewrite

import (
	"context"
	"fmt"
)

// Check asks the receiver to take a request without samples. That it calls such a request bad is an answer too.
func (s *sink) Check(ctx context.Context) error {
	p, body, err := Protocol1, []byte(nil), error(nil)
	if s.sender.dialect.want == Protocol2 {
		p = Protocol2
		body, err = new(encoder2).encode(nil)
	}
	if err != nil {
		return err
	}
	post, packed := s.sender.post, new(payload)
	packed.pack(body)
	a, err := post.send(ctx, p, packed)
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
	if do := remedy(a.code, a.text); do != "" {
		return fmt.Errorf("%w (%s)", a.error(post.place), do)
	}
	return a.error(post.place)
}
