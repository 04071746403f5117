package remotewrite

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

// TestNamesBeyondLegacy checks names that 1.0 does not allow. They are sent unchanged in both protocols, so that a series keeps its name
// when the protocol changes. In 1.0, one warning is logged.
func TestNamesBeyondLegacy(t *testing.T) {
	for p, warnings := range map[Protocol]int{Protocol1: 1, Protocol2: 0} {
		d := new(fakeReceiver)
		withReceiver(t, d, withProtocol(p), func(r *rig) {
			for i := range 3 {
				r.write("plain", gauge("x:y_1", float64(i), "a"))
				r.write("j", gauge("utf8.метрика", float64(i), "a"), familyOf(&metric.Desc{Name: "x", LabelNames: []string{"größe"}}, metric.Series{}, "1"))
				r.tick()
			}
			if n := r.stats.Sent.Load(); n != 9 {
				r.Errorf("%s: Sent is %d, want 9", p, n)
			}
			r.wantLogged("remote-write 1.0 has no such names", warnings)
			r.wantLogged("name=utf8.метрика", warnings)
		})
	}
}
