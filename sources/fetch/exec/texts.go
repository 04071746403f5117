package exec

import (
	"context"
	"fmt"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// CheckTexts implements sources.TextConfig.
func (c *Config) CheckTexts() error {
	switch {
	case c.Document != Output:
		return setting.Errorf("document", "cannot be set: the output is passed on as it is")
	case c.Decoding.Format != format.Auto:
		return setting.Errorf("format", "cannot be set: the output is passed on as it is")
	}
	return nil
}

// FetchTexts implements sources.TextFetcher. It runs the command once and yields its output.
func (f *fetcher) FetchTexts(ctx context.Context, tick sources.Tick, yield func(sources.Text) error) error {
	from := "run " + f.program()
	_, said, err := f.run(ctx, tick)
	if err == nil {
		var text []byte
		if text, err = format.UTF8("", f.output); err == nil {
			if err = yield(sources.Text{From: from, Body: text}); err != nil {
				return said.add(err)
			}
			return nil
		}
		err = said.add(err)
	}
	return fmt.Errorf("%s: %w", from, err)
}
