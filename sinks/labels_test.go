package sinks

import (
	"testing"

	"github.com/collectington/collectington/agent/metric"
)

func labels(pairs ...string) []metric.Label {
	var all []metric.Label
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, metric.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func TestAttach(t *testing.T) {
	target := labels("job", "j", "instance", "i")
	f := func(series, external []metric.Label, want string) {
		t.Helper()
		set := metric.Labels(Attach(nil, series, target, external))
		if got := set.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(nil, nil, `{instance="i",job="j"}`)
	f(labels("a", "1", "z", "2"), labels("site", "oslo"), `{a="1",instance="i",job="j",site="oslo",z="2"}`)
	f(labels("job", "x"), nil, `{exported_job="x",instance="i",job="j"}`)
	f(labels("exported_job", "y", "job", "x"), nil, `{exported_exported_job="x",exported_job="y",instance="i",job="j"}`)
	f(labels("site", "mine"), labels("site", "oslo"), `{instance="i",job="j",site="mine"}`)
}

func TestTarget(t *testing.T) {
	env := Env{Instance: "host"}
	if got := metric.Labels(env.Target("j")).String(); got != `{job="j",instance="host"}` {
		t.Errorf("got %s", got)
	}
	env.External = labels("instance", "edge-7")
	if got := metric.Labels(env.Target("j")).String(); got != `{job="j"}` {
		t.Errorf("with an external instance: got %s", got)
	}
}
