package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TestTroubles checks ten minutes of the API: each cycle has a slow phase, an outage and a reset, and no other trouble.
func TestTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		api := Troubled(begin.Add(-3*time.Minute), begin, time.Now)
		calm := Handler(begin.Add(-3*time.Minute), time.Now)
		var slow, down, resets, last int
		for time.Since(begin) < 2*cycle {
			asked := time.Now()
			w, whole := httptest.NewRecorder(), httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequest("GET", Path+"?limit=1000", nil))
			if time.Since(asked) == slowness {
				slow++
			}
			if w.Code == http.StatusServiceUnavailable {
				down++
			} else {
				calm.ServeHTTP(whole, httptest.NewRequest("GET", Path+"?limit=1000", nil))
				var p, q page
				if json.Unmarshal(w.Body.Bytes(), &p) != nil || json.Unmarshal(whole.Body.Bytes(), &q) != nil || len(p.Incidents) != len(q.Incidents) {
					t.Fatalf("after %s: %d incidents, want %d: %d", time.Since(begin), len(p.Incidents), len(q.Incidents), w.Code)
				}
				if p.Total < last {
					resets++
				}
				if last = p.Total; resets == 0 && p.Total != q.Total {
					t.Errorf("after %s: total %d, want %d", time.Since(begin), p.Total, q.Total)
				}
			}
			time.Sleep(time.Until(asked.Add(5 * time.Second)))
		}
		if slow != 8 || down != 8 || resets != 2 {
			t.Errorf("%d slow answers, %d failures, %d resets; want 8, 8 and 2", slow, down, resets)
		}
	})
}
