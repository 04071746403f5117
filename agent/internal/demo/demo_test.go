package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ask asks a fresh API at a time after its start.
func ask(t testing.TB, after time.Duration, query string) (int, page) {
	t.Helper()
	h := Handler(start, func() time.Time { return start.Add(after) })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", Path+"?"+query, nil))
	var p page
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code, p
}

func at(t testing.TB, after time.Duration, query string) page {
	t.Helper()
	code, p := ask(t, after, query)
	if code != http.StatusOK {
		t.Fatalf("after %s, %s: %d", after, query, code)
	}
	return p
}

func TestIncidentsGoOnlyForward(t *testing.T) {
	order := map[string]int{unacknowledged: 0, acknowledged: 1, resolved: 2}
	before := map[string]incident{}
	total := 0
	for after := time.Duration(0); after < 4*time.Minute; after += 700 * time.Millisecond {
		p := at(t, after, "limit=1000")
		if p.Total < total || p.Total > total+1 {
			t.Fatalf("after %s: total %d follows %d", after, p.Total, total)
		}
		total = p.Total
		if len(p.Incidents) != total {
			t.Fatalf("after %s: %d incidents of %d", after, len(p.Incidents), total)
		}
		for _, i := range p.Incidents {
			old, known := before[i.Number]
			if known && order[i.Phase] < order[old.Phase] {
				t.Errorf("after %s: incident %s went from %s to %s", after, i.Number, old.Phase, i.Phase)
			}
			if known && (!i.StartedAt.Equal(old.StartedAt) || i.Team != old.Team || i.Stack != old.Stack || i.Service != old.Service) {
				t.Errorf("after %s: incident %s has become another: %+v, %+v", after, i.Number, old, i)
			}
			before[i.Number] = i
		}
	}
	if want := int(4 * time.Minute / pace); total < want-1 || total > want+1 {
		t.Errorf("%d incidents in four minutes, want about %d", total, want)
	}
}

func TestPhaseAgreesWithTimes(t *testing.T) {
	seen := map[string]int{}
	for after := time.Duration(0); after < 5*time.Minute; after += 3 * time.Second {
		now := start.Add(after)
		for _, i := range at(t, after, "").Incidents {
			seen[i.Phase]++
			want, names := unacknowledged, "triggered"
			if i.AcknowledgedAt != nil {
				want, names = acknowledged, names+" acknowledged"
				if !i.AcknowledgedAt.After(i.StartedAt) || i.AcknowledgedAt.After(now) {
					t.Errorf("at %s: acknowledged at the wrong time: %+v", now, i)
				}
			}
			if i.ResolvedAt != nil {
				want, names = resolved, names+" resolved"
				if i.AcknowledgedAt == nil || !i.ResolvedAt.After(*i.AcknowledgedAt) || i.ResolvedAt.After(now) {
					t.Errorf("at %s: resolved at the wrong time: %+v", now, i)
				}
			}
			var got []string
			for _, tr := range i.Transitions {
				got = append(got, tr.Name)
			}
			if i.Phase != want || strings.Join(got, " ") != names || i.StartedAt.After(now) {
				t.Errorf("at %s: %s with %v, want %s with %s", now, i.Phase, got, want, names)
			}
		}
	}
	for _, phase := range []string{unacknowledged, acknowledged, resolved} {
		if seen[phase] == 0 {
			t.Errorf("no incident is ever %s", phase)
		}
	}
}

func TestSameTimeSameAnswer(t *testing.T) {
	a, b := at(t, time.Hour, "limit=1000"), at(t, time.Hour, "limit=1000")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

// TestOnePageHoldsAllThatChanges checks that the newest 100 incidents include all that can still change: older
// incidents have ended.
func TestOnePageHoldsAllThatChanges(t *testing.T) {
	p := at(t, time.Hour, "")
	if len(p.Incidents) != defaultLimit {
		t.Fatalf("%d incidents, want %d", len(p.Incidents), defaultLimit)
	}
	for _, i := range at(t, time.Hour, "offset=100&limit=1000").Incidents {
		if i.Phase != resolved {
			t.Errorf("incident %s is %s and not on the first page", i.Number, i.Phase)
		}
	}
}

func TestTeamsAndStacksAllOccur(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range at(t, 3*time.Minute, "").Incidents {
		seen[i.Team], seen[i.Stack] = true, true
	}
	for _, want := range []string{"network", "payments", "platform", "search", "prd", "sbx"} {
		if !seen[want] {
			t.Errorf("%s has no incident in three minutes", want)
		}
	}
}

func TestPagesMakeTheWhole(t *testing.T) {
	whole := at(t, 20*time.Minute, "limit=1000")
	var joined []incident
	for offset := 0; offset < whole.Total; offset += 37 {
		p := at(t, 20*time.Minute, fmt.Sprintf("limit=37&offset=%d", offset))
		if p.Offset != offset || p.Limit != 37 || p.Total != whole.Total {
			t.Fatalf("offset %d: %d, %d of %d", offset, p.Offset, p.Limit, p.Total)
		}
		joined = append(joined, p.Incidents...)
	}
	if diff := cmp.Diff(whole.Incidents, joined); diff != "" {
		t.Error(diff)
	}
	for n, i := range joined {
		if want := strconv.Itoa(whole.Total - n); i.Number != want {
			t.Fatalf("place %d has incident %s, want %s", n, i.Number, want)
		}
	}
}

func TestWindow(t *testing.T) {
	all := at(t, 10*time.Minute, "limit=1000").Incidents
	after, before := all[100].StartedAt, all[50].StartedAt // both excluded
	var want []string
	for _, i := range all {
		if i.StartedAt.After(after) && i.StartedAt.Before(before) {
			want = append(want, i.Number)
		}
	}
	query := url.Values{"startedAfter": {after.Format(time.RFC3339)}, "startedBefore": {before.Format(time.RFC3339)}}
	p := at(t, 10*time.Minute, query.Encode())
	var got []string
	for _, i := range p.Incidents {
		got = append(got, i.Number)
	}
	if diff := cmp.Diff(want, got); diff != "" || p.Total != len(want) || len(want) != 49 {
		t.Errorf("total %d: %s", p.Total, diff)
	}
	// Times that exclude no incident, or all incidents.
	for query, total := range map[string]int{
		"startedBefore=2000-01-01T00:00:00Z":                                   0,
		"startedAfter=2000-01-01T00:00:00Z":                                    at(t, 10*time.Minute, "").Total,
		"startedBefore=9999-01-01T00:00:00Z":                                   at(t, 10*time.Minute, "").Total,
		"startedAfter=9999-01-01T00:00:00Z":                                    0,
		"startedAfter=2026-03-01T12:05:00Z&startedBefore=2026-03-01T12:01:00Z": 0,
		"offset=9223372036854775807":                                           at(t, 10*time.Minute, "").Total,
	} {
		p := at(t, 10*time.Minute, query)
		if p.Total != total || p.Incidents == nil || total == 0 && len(p.Incidents) > 0 {
			t.Errorf("%s: total %d with %d incidents, want %d", query, p.Total, len(p.Incidents), total)
		}
	}
}

func TestBeforeTheFirst(t *testing.T) {
	if p := at(t, -time.Second, ""); p.Total != 0 {
		t.Errorf("total %d before the start", p.Total)
	}
	if p := at(t, 0, ""); p.Total != 1 {
		t.Errorf("total %d at the start", p.Total)
	}
}

func TestBadRequests(t *testing.T) {
	for _, query := range []string{"limit=-1", "limit=x", "offset=1.5", "offset=", "startedAfter=yesterday", "startedBefore=1"} {
		if code, _ := ask(t, time.Minute, query); code != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", query, code)
		}
	}
	if p := at(t, 3*time.Hour, "limit=100000"); len(p.Incidents) != maxLimit || p.Limit != maxLimit {
		t.Errorf("limit=100000 gives %d incidents", len(p.Incidents))
	}
	h := Handler(start, time.Now)
	for method, path := range map[string]string{"POST": Path, "GET": "/other"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code/100 != 4 {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
}
