package remotewrite

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/web/webtest"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

// Whatever is written, in whatever protocol, however the receiver fails: every sample arrives or is counted, none twice
// but in a repeated request, and each series in order of time.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 1))
			d := &double{}
			var kept [][]point // what each request left behind
			d.answer = moody(rand.New(rand.NewPCG(seed, 2)), &kept)
			receiving(t, d, func(c *Config, env *sinks.Env) {
				c.Protocol = Protocol(seed % 3)
				c.Request.MaxSamples = 1 + dice.IntN(30)
				env.Drain = time.Hour
			}, func(r *rig) {
				shadow := newRig(r.TB, webtest.NewNetwork(), nil) // keeps all that is written
				in := 0
				for range 30 {
					j, families := fmt.Sprint("j", dice.IntN(3)), randomFamilies(dice, r.began)
					r.write(j, families...)
					shadow.write(j, families...)
					in += numbersIn(families)
					time.Sleep(time.Duration(1 + dice.IntN(60e9)))
				}
				written := in - int(shadow.stats.Dropped()[sinks.NotNewer])
				queued := int(shadow.stats.Pending().Samples)
				for _, q := range shadow.queued() {
					for i, err := range q.Items() {
						if err != nil {
							r.Fatal(err)
						}
						isZero := i.Start != 0 && i.Start == i.Time
						if isZero || i.Kind == wire.Histogram && i.Histogram.Sum != i.Histogram.Sum || math.Float64bits(i.Value) == math.Float64bits(stale()) {
							written++
							in++
						}
					}
				}
				if queued != written {
					r.Errorf("%d samples were written, %d queued", written, queued)
				}
				r.stop()
				dropped := int64(0)
				for _, n := range r.stats.Dropped() {
					dropped += n
				}
				if got := r.stats.Sent.Load() + dropped; got != int64(in) {
					r.Errorf("%d samples were written; sent %d, dropped %v", in, r.stats.Sent.Load(), r.stats.Dropped())
				}
				r.drops(sinks.Shutdown, 0)
			})
			last := map[string]int64{}
			arrived := 0
			for _, points := range kept {
				for _, p := range points {
					if at, known := last[p.series]; known && p.time <= at {
						t.Fatalf("%v comes after the sample at %d", p, at)
					}
					last[p.series] = p.time
					arrived++
				}
			}
			if arrived == 0 {
				t.Error("nothing has arrived")
			}
		})
	}
}

// numbersIn counts the numbers of families: what a text exposition would have lines.
func numbersIn(families []metric.Family) (n int) {
	for _, f := range families {
		for _, s := range f.Series {
			switch {
			case s.Summary != nil:
				n += 3
			case s.Histogram != nil && s.Histogram.Native == nil:
				n += 5
			default:
				n++
			}
		}
	}
	return n
}

// moody is a receiver that often fails: before it has taken a request, and never after.
func moody(dice *rand.Rand, kept *[][]point) func(http.ResponseWriter, request) {
	var mu sync.Mutex // a request that hangs goes on beside the next
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(n)
	}
	takes := func(w http.ResponseWriter, r request) {
		takes(w, r)
		mu.Lock()
		defer mu.Unlock()
		*kept = append(*kept, r.points)
	}
	return func(w http.ResponseWriter, r request) {
		switch roll(12) {
		case 0:
			w.WriteHeader(500 + roll(5))
		case 1:
			w.Header().Set("Retry-After", fmt.Sprint(roll(30)))
			w.WriteHeader(429)
		case 2:
			time.Sleep(40 * time.Second)
		case 3:
			panic(http.ErrAbortHandler)
		case 4:
			w.WriteHeader(415)
		case 5:
			w.WriteHeader(400)
		case 6:
			if r.protocol == Protocol1 {
				takes(w, r)
				return
			}
			w.WriteHeader(204) // without a word of what it wrote: nothing
		default:
			takes(w, r)
		}
	}
}

// randomFamilies are up to 8 families of all types, with series that come and go.
func randomFamilies(dice *rand.Rand, began time.Time) (all []metric.Family) {
	for i := range dice.IntN(9) {
		d := &metric.Desc{
			Name: fmt.Sprint("m", i), Help: "Help.", Type: metric.Type(i % 5), LabelNames: []string{"room"},
			Buckets: []float64{1, 2.5}, Quantiles: []float64{0.5},
		}
		var rooms []string
		for room := range 1 + dice.IntN(6) {
			if dice.IntN(4) > 0 {
				rooms = append(rooms, fmt.Sprint("r", room))
			}
		}
		s := metric.Series{Value: dice.NormFloat64(), Start: began.UnixMilli() * int64(dice.IntN(2))}
		switch d.Type {
		case metric.Histogram:
			s.Histogram = &metric.HistogramValue{Count: 3, Counts: []uint64{1, 1, 1}}
			if dice.IntN(3) == 0 {
				s.Histogram = nativeOf(dice.Uint64N(5), dice.Uint64N(5), dice.Uint64N(5))
			}
		case metric.Summary:
			s.Summary = &metric.SummaryValue{Count: 1, Sum: 2, Quantiles: []float64{2}}
		}
		if dice.IntN(10) == 0 {
			s.Time = began.UnixMilli() + dice.Int64N(100_000)
		}
		all = append(all, made(d, s, rooms...))
	}
	dice.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	return slices.Clip(all)
}
