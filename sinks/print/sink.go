package print

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// sink writes batches to an output.
type sink struct {
	out        io.Writer
	stats      *sinks.Stats
	timestamps bool

	mu        sync.Mutex
	converter metric.Converter
	page      bytes.Buffer
}

// Write writes a comment with the job's name and time, and then the batch in the text format. It calls Write of the output only
// once, so that other output of the program cannot come in between.
func (s *sink) Write(ctx context.Context, b metric.Batch) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("print job %s: %w", b.Job, context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page.Reset()
	fmt.Fprintf(&s.page, "# job %s at %s, %d series\n", b.Job, b.Time.UTC().Format(time.RFC3339), b.Series())
	if s.timestamps {
		s.converter.Time = b.Time.UnixMilli()
	}
	if err := s.converter.WriteText(&s.page, b.Families); err != nil {
		return sinks.Permanent(fmt.Errorf("print job %s: %w", b.Job, err))
	}
	if _, err := s.page.WriteTo(s.out); err != nil {
		return fmt.Errorf("print job %s: %w", b.Job, err)
	}
	s.stats.Sent.Add(int64(b.Series()))
	return nil
}
