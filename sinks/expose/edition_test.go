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

func (b *bench) remembered() int { return len(*b.editions.Load()) }

func TestForgetsWhatNobodyAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, Config{})
		b.write(t, "job", gauge("load", "x"))
		if b.remembered() != 0 {
			t.Error("it renders what nobody has asked for")
		}
		b.scrape(t, openMetrics, true)
		for range 20 { // twenty minutes, in which text alone is asked for
			time.Sleep(time.Minute)
			b.text()
			b.write(t, "job", gauge("load", "x"))
		}
		if b.remembered() != 1 {
			t.Errorf("%d are remembered after twenty minutes", b.remembered())
		}
		b.write(t, "job", gauge("load", "y"))
		if got := b.scrape(t, openMetrics, true); !strings.Contains(got, `load{room="y"} 1.0`) {
			t.Errorf("asked for again it is\n%s", got)
		}
		time.Sleep(forgetAfter)
		b.write(t, "job", gauge("load", "x"))
		if b.remembered() != 2 {
			t.Errorf("%d are remembered for ten minutes", b.remembered())
		}
		time.Sleep(time.Second)
		b.write(t, "job", gauge("load", "x"))
		if b.remembered() != 0 {
			t.Errorf("%d are remembered for longer", b.remembered())
		}
	})
}

func TestBoundsEditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, Config{})
		b.write(t, "job", gauge("load", "x"))
		for _, f := range formats() {
			for _, scheme := range []model.EscapingScheme{model.NoEscaping, model.DotsEscaping, model.UnderscoreEscaping} {
				time.Sleep(time.Second)
				b.scrape(t, string(f.WithEscapingScheme(scheme)), true)
			}
		}
		if b.remembered() != maxEditions {
			t.Errorf("%d are remembered", b.remembered())
		}
		last := variant{expfmt.FmtText + "; escaping=underscores", true}
		if (*b.editions.Load())[last] == nil {
			t.Error("the one asked for last is not among them")
		}
	})
}

// A tick of one job leaves the others' families as they are.
func TestRendersWhatHasChanged(t *testing.T) {
	b := open(t, Config{})
	b.write(t, "a", gauge("load", "x"))
	b.write(t, "b", gauge("rest", "x"))
	b.text()
	at := func(name string) *byte {
		for _, e := range *b.editions.Load() {
			return &e.pieces[b.shelf.families[name]].bytes[0][0]
		}
		return nil
	}
	load, rest := at("load"), at("rest")
	b.write(t, "a", gauge("load", "x"))
	if at("load") == load {
		t.Error("the job's family is an old one")
	}
	if at("rest") != rest {
		t.Error("the other job's family is rendered again")
	}
	b.write(t, "a")
	for _, e := range *b.editions.Load() {
		if len(e.pieces) != 1 || len(b.shelf.families) != 1 || len(b.shelf.jobs) != 1 {
			t.Errorf("%d pieces, %d families and %d jobs are kept", len(e.pieces), len(b.shelf.families), len(b.shelf.jobs))
		}
	}
}

// Every scrape sees one batch whole, whenever it comes.
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
						t.Errorf("room %s is of round %v, room a of round %v", room, v, first)
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
