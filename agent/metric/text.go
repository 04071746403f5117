package metric

import (
	"bytes"
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
)

// WriteText writes the families in the text exposition format, in their order. A family without series is left out: the
// format has no line for it.
func WriteText(w io.Writer, families []Family) error { return new(Converter).WriteText(w, families) }

// WriteText is the function of the same name, with the Converter's labels and times. It resets the Converter.
func (c *Converter) WriteText(w io.Writer, families []Family) error {
	var text bytes.Buffer // one write: lines of others, such as the log's, cannot come in between
	for i := range families {
		if len(families[i].Series) == 0 {
			continue
		}
		c.Reset()
		if _, err := expfmt.MetricFamilyToText(&text, c.Family(&families[i])); err != nil {
			return fmt.Errorf("write metric %s: %w", families[i].Desc.Name, err)
		}
	}
	_, err := text.WriteTo(w)
	return err
}
