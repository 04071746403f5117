package metric

import (
	"bytes"
	"fmt"
	"io"

	"github.com/prometheus/common/expfmt"
)

// WriteText writes the families in the text exposition format, in their order. Families without series are left out.
func WriteText(w io.Writer, families []Family) error { return new(Converter).WriteText(w, families) }

// WriteText writes like the function [WriteText], with the Converter's labels and times. It resets the Converter.
func (c *Converter) WriteText(w io.Writer, families []Family) error {
	var text bytes.Buffer // written at once, so that log lines do not come in between
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
