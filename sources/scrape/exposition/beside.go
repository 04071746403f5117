package exposition

import (
	"bytes"

	"github.com/prometheus/common/model"
)

// beside is the classic lines of a histogram that is native too. They follow the native one. Prometheus does not scrape them
// unless always_scrape_classic_histograms is set. A sink that has no native histograms shows them, so they are read, but they
// do not count as samples, and relabelling that drops the native histogram drops them too.
type beside struct {
	isActive bool   // the current line may be one of them
	isHidden bool   // the native histogram is dropped
	labels   []byte // of the native histogram, as the parser writes them
}

// begin begins the classic lines of the native histogram of this text.
func (b *beside) begin(text []byte, isHidden bool) {
	_, labels, _ := bytes.Cut(text, []byte{model.SeparatorByte})
	b.isActive, b.isHidden, b.labels = true, isHidden, append(b.labels[:0], labels...)
}

// next decides whether a line is one of them. The first is _count, with the labels of the native histogram.
func (b *beside) next(text []byte) {
	if !b.isActive {
		return
	}
	name, labels, _ := bytes.Cut(text, []byte{model.SeparatorByte})
	if bytes.HasSuffix(name, []byte("_count")) && !bytes.Equal(labels, b.labels) {
		b.end() // another histogram, which is classic only
	}
}

func (b *beside) end() { b.isActive, b.isHidden = false, false }
