package kubernetes

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/exp/api/remote"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// receiver keeps every sample that arrives by remote-write 2.0, in the order of arrival.
type receiver struct {
	mu     sync.Mutex
	series map[string]*series
}

// series has the samples of one series, in the order of arrival.
type series struct {
	labels  map[string]string
	samples []sample
}

// sample is one sample. The times are in milliseconds.
type sample struct {
	at, since int64 // since is the start timestamp
	value     float64
}

// staleness is the value that ends a series.
const staleness = 0x7ff0000000000002

// Store keeps the samples of a request.
func (r *receiver) Store(request *http.Request, _ remote.WriteMessageType) (*remote.WriteResponse, error) {
	response := remote.NewWriteResponse()
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return response, err
	}
	var message writev2.Request
	if err := message.UnmarshalVT(body); err != nil {
		return response, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range message.Timeseries {
		labels, refs := map[string]string{}, t.LabelsRefs
		for i := 0; i+1 < len(refs); i += 2 {
			labels[message.Symbols[refs[i]]] = message.Symbols[refs[i+1]]
		}
		if len(t.Histograms) > 0 {
			return response, errors.New("histograms are not expected")
		}
		id := fmt.Sprint(labels)
		s := r.series[id]
		if s == nil {
			s = &series{labels: labels}
			r.series[id] = s
		}
		for _, one := range t.Samples {
			s.samples = append(s.samples, sample{one.Timestamp, startOf(one), one.Value})
			response.Samples++
		}
	}
	return response, nil
}

// startOf returns the start timestamp of a sample, or 0 if the sample has none. The library does not know this field of remote-write 2.0.
func startOf(s *writev2.Sample) int64 {
	const startTimestamp = 3
	for rest := s.ProtoReflect().GetUnknown(); len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			break
		}
		if number == startTimestamp && kind == protowire.VarintType {
			at, _ := protowire.ConsumeVarint(rest[n:])
			return int64(at)
		}
		skip := protowire.ConsumeFieldValue(number, kind, rest[n:])
		if skip < 0 {
			break
		}
		rest = rest[n+skip:]
	}
	return 0
}

// of returns samples of a metric: those of all series that have the given labels. They are sorted by time, without staleness markers. A
// sample that has arrived twice is returned once. If there are two different values with the same time, the method also returns an error.
func (r *receiver) of(metric string, labels map[string]string) (all []sample, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.series {
		if s.labels["__name__"] != metric || !contains(s.labels, labels) {
			continue
		}
		all = append(all, s.samples...)
	}
	all = slices.DeleteFunc(all, func(s sample) bool { return math.Float64bits(s.value) == staleness })
	slices.SortStableFunc(all, func(a, b sample) int { return int(a.at - b.at) })
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1], all[i]; a.at == b.at && a.value != b.value {
			err = errors.Join(err, fmt.Errorf("%s %v: two values at %d: %v and %v", metric, labels, a.at, a.value, b.value))
		}
	}
	return slices.CompactFunc(all, func(a, b sample) bool { return a.at == b.at && a.value == b.value }), err
}

// last returns the newest value of a metric.
func (r *receiver) last(metric string, labels map[string]string) (float64, error) {
	all, err := r.of(metric, labels)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no sample of %s %v has arrived", metric, labels)
	}
	if err != nil {
		return 0, err
	}
	return all[len(all)-1].value, nil
}

// names returns the names of the metrics that have arrived.
func (r *receiver) names() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := map[string]bool{}
	for _, s := range r.series {
		names[s.labels["__name__"]] = true
	}
	var all []string
	for n := range names {
		all = append(all, n)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
