package exposition

import (
	"bytes"

	"github.com/prometheus/common/model"
)

// beside handles the classic lines of a histogram that is also native. These lines come after the native histogram. Prometheus ignores them
// unless always_scrape_classic_histograms is set. Here they are read, since some sinks have no native histograms. But they do not count as
// samples, and if relabelling drops the native histogram, they are dropped too.
type beside struct {
	isActive bool   // the current line may be a classic line of the histogram
	isHidden bool   // relabelling has dropped the native histogram
	labels   []byte // labels of the native histogram, as the parser writes them
}

// begin begins the classic lines of a native histogram. The argument "text" is the series of the histogram.
func (b *beside) begin(text []byte, isHidden bool) {
	_, labels, _ := bytes.Cut(text, []byte{model.SeparatorByte})
	b.isActive, b.isHidden, b.labels = true, isHidden, append(b.labels[:0], labels...)
}

// next ends the classic lines if a line belongs to another histogram. The first classic line is _count, with the labels of the
// native histogram.
func (b *beside) next(text []byte) {
	if !b.isActive {
		return
	}
	name, labels, _ := bytes.Cut(text, []byte{model.SeparatorByte})
	if bytes.HasSuffix(name, []byte("_count")) && !bytes.Equal(labels, b.labels) {
		b.end() // another histogram, which is only classic
	}
}

func (b *beside) end() { b.isActive, b.isHidden = false, false }
