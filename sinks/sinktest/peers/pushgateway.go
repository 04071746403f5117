package peers

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/pushgateway/handler"
	"github.com/prometheus/pushgateway/storage"
)

// Pushgateway is a Pushgateway: the handlers and the storage.
type Pushgateway struct {
	http.Handler
	store *storage.DiskMetricStore
}

// setSchemes sets the variables that the main function of the Pushgateway sets. It does so once, since tests run in parallel.
var setSchemes = sync.OnceFunc(func() {
	handler.EscapingScheme, handler.ValidationScheme = model.NoEscaping, model.LegacyValidation
})

// NewPushgateway returns an empty Pushgateway. It is shut down when the test ends.
func NewPushgateway(t testing.TB) *Pushgateway {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	setSchemes()
	g := &Pushgateway{store: storage.NewDiskMetricStore("", 0, nil, quiet)}
	t.Cleanup(func() {
		if err := g.store.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	r := route.New()
	r.Get("/-/ready", handler.Ready(g.store).ServeHTTP)
	for _, suffix := range []string{"", handler.Base64Suffix} {
		encoded := suffix == handler.Base64Suffix
		for _, path := range []string{"/metrics/job" + suffix + "/:job/*labels", "/metrics/job" + suffix + "/:job"} {
			r.Put(path, handler.Push(g.store, true, true, encoded, quiet))
			r.Post(path, handler.Push(g.store, false, true, encoded, quiet))
			r.Del(path, handler.Delete(g.store, encoded, quiet))
		}
	}
	g.Handler = r
	return g
}

// Text returns the exposition of the gateway, without the push_ metrics that the gateway adds.
func (g *Pushgateway) Text(t testing.TB) string {
	t.Helper()
	g.settle(t)
	var text strings.Builder
	for _, f := range g.store.GetMetricFamilies() {
		if strings.HasPrefix(f.GetName(), "push_") {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// settle waits until deletions are done, since the gateway accepts a deletion before doing it. Requests are done in order, so
// settle submits a write and waits for the response. The write makes an empty group, which settle deletes again.
func (g *Pushgateway) settle(t testing.TB) {
	t.Helper()
	barrier := map[string]string{"job": "sinktest barrier"}
	done := make(chan error, 1)
	g.store.SubmitWriteRequest(storage.WriteRequest{Labels: barrier, MetricFamilies: map[string]*dto.MetricFamily{}, Done: done})
	for err := range done {
		t.Error(err)
	}
	g.store.SubmitWriteRequest(storage.WriteRequest{Labels: barrier})
}

// Families returns the stored families.
func (g *Pushgateway) Families() []*dto.MetricFamily { return g.store.GetMetricFamilies() }
