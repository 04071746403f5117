package expose

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const openMetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"

func (b *bench) rendered() int { return len(*b.renderings.Load()) }

// TestUnusedRenderingsAreRemoved checks that a variant is rendered for ten minutes after its last request.
func TestUnusedRenderingsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, Config{})
		b.write(t, "job", gauge("load", "x"))
		if b.rendered() != 0 {
			t.Error("a variant is rendered before its first request")
		}
		b.scrape(t, openMetrics, true)
		for range 20 { // 20 minutes with requests for text only
			time.Sleep(time.Minute)
			b.text()
			b.write(t, "job", gauge("load", "x"))
		}
		if b.rendered() != 1 {
			t.Errorf("%d variants are rendered after 20 minutes", b.rendered())
		}
		b.write(t, "job", gauge("load", "y"))
		if got := b.scrape(t, openMetrics, true); !strings.Contains(got, `load{room="y"} 1.0`) {
			t.Errorf("requested again it is\n%s", got)
		}
		time.Sleep(forgetAfter)
		b.write(t, "job", gauge("load", "x"))
		if b.rendered() != 2 {
			t.Errorf("%d variants are rendered after 10 minutes", b.rendered())
		}
		time.Sleep(time.Second)
		b.write(t, "job", gauge("load", "x"))
		if b.rendered() != 0 {
			t.Errorf("%d variants are rendered after more than 10 minutes", b.rendered())
		}
	})
}

// TestRenderingsAreBounded checks that only a limited number of variants stay, and that the most recently requested one is among them.
func TestRenderingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, Config{})
		b.write(t, "job", gauge("load", "x"))
		for _, f := range formats() {
			for _, scheme := range []model.EscapingScheme{model.NoEscaping, model.DotsEscaping, model.UnderscoreEscaping} {
				time.Sleep(time.Second)
				b.scrape(t, string(f.WithEscapingScheme(scheme)), true)
			}
		}
		if b.rendered() != maxRenderings {
			t.Errorf("%d variants are rendered", b.rendered())
		}
		last := variant{expfmt.FmtText + "; escaping=underscores", true}
		if (*b.renderings.Load())[last] == nil {
			t.Error("the variant requested last is not one of them")
		}
	})
}

// TestRendersChangedFamiliesOnly checks that a batch of one job does not render the families of other jobs.
func TestRendersChangedFamiliesOnly(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "a", gauge("load", "x"))
	b.write(t, "b", gauge("rest", "x"))
	b.text()
	at := func(name string) *byte {
		for _, e := range *b.renderings.Load() {
			return &e.pieces[b.store.families[name]].bytes[0][0]
		}
		return nil
	}
	load, rest := at("load"), at("rest")
	b.write(t, "a", gauge("load", "x"))
	if at("load") == load {
		t.Error("the job's family is not rendered")
	}
	if at("rest") != rest {
		t.Error("the other job's family is rendered again")
	}
	b.write(t, "a")
	for _, e := range *b.renderings.Load() {
		if len(e.pieces) != 1 || len(b.store.families) != 1 || len(b.store.jobs) != 1 {
			t.Errorf("%d pieces, %d families and %d jobs are kept", len(e.pieces), len(b.store.families), len(b.store.jobs))
		}
	}
}

// TestScrapesWhileWriting checks that every scrape sees one batch as a whole.
func TestScrapesWhileWriting(t *testing.T) {
	b := open(t, Config{})
	rooms := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	round := 0
	tick := func() {
		f := gauge("load", rooms...)
		for i := range f.Series {
			f.Series[i].Value = float64(round)
		}
		b.write(t, "job", f)
		round++
	}
	tick()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			tick()
			b.write(t, "other", large("many", round%7*100))
		}
	})
	var scrapers sync.WaitGroup
	for i := range 4 {
		scrapers.Go(func() {
			accepts := []string{"", openMetrics, string(expfmt.FmtProtoDelim)}
			for n := range 60 {
				accept := accepts[(n+i)%3]
				contentType := accept
				if accept == "" {
					contentType = "text/plain"
				}
				got := parse(t, b.scrape(t, accept, n%2 == 0), contentType).Values
				first, shown := got[`{__name__="load", room="a"}`]
				if !shown {
					t.Error("room a is missing")
				}
				for _, room := range rooms[1:] {
					if v := got[fmt.Sprintf(`{__name__="load", room=%q}`, room)]; v != first {
						t.Errorf("room %s has round %v, room a has round %v", room, v, first)
						return
					}
				}
			}
		})
	}
	scrapers.Wait()
	close(stop)
	wg.Wait()
}
