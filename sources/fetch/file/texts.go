package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/fetch/format"
)

// CheckTexts implements sources.TextConfig.
func (c *Config) CheckTexts() error {
	if c.Decoding.Format != format.Auto {
		return setting.Errorf("format", "cannot be set: the text is passed on as it is")
	}
	return nil
}

// FetchTexts implements sources.TextFetcher. It leaves out a file that a pattern has found if the file has been removed since.
func (f *fetcher) FetchTexts(ctx context.Context, _ sources.Tick, yield func(sources.Text) error) error {
	names, err := f.find()
	if err != nil {
		return fmt.Errorf("read files: %w", err)
	}
	size := int64(0)
	for _, name := range names {
		text := sources.Text{From: "read " + name, Name: name, All: names}
		body, info, err := f.read(ctx, name, f.body[:0])
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("read %s: %w", name, context.Cause(ctx))
		case errors.Is(err, fs.ErrNotExist) && f.config.Path == "" && !slices.Contains(f.config.Paths, name):
			continue
		case err != nil:
			text.Err = fmt.Errorf("read %s: %w", name, err)
		default:
			f.body, text.Modified = body, info.ModTime()
			f.shown(name, info, len(body))
			if size += int64(len(body)); size > int64(f.config.MaxBytes) {
				return fmt.Errorf("read files: together they exceed max_bytes (%s)", f.config.MaxBytes)
			}
			if text.Body, err = format.UTF8("", body); err != nil {
				text.Err = fmt.Errorf("read %s: %w", name, err)
			}
		}
		if err := yield(text); err != nil {
			return err
		}
	}
	return nil
}
