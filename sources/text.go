package sources

import (
	"context"
	"errors"
	"time"
)

// Text is a text that a fetcher has fetched, before it is decoded.
type Text struct {
	From     string    // for messages, as in Document
	Name     string    // the file; "" = the text is the only one
	All      []string  // the names of all texts of the tick
	Modified time.Time // zero = unknown
	Body     []byte    // in UTF-8; the receiver may change it, also beyond its length, until it returns
	Err      error     // why there is no text
}

// TextFetcher is an optional interface of a Fetcher: it can fetch texts without decoding them.
type TextFetcher interface {
	// FetchTexts fetches the texts and calls yield for each. It returns the error of yield.
	FetchTexts(ctx context.Context, tick Tick, yield func(Text) error) error
}

// TextReader is an optional interface of a source's Config: the source needs a fetcher that is a TextFetcher.
type TextReader interface{ ReadsTexts() }

// TextConfig is an optional interface of the Config of a TextFetcher. It returns why the settings do not fetch texts, or nil.
type TextConfig interface{ CheckTexts() error }

// TextFetcherOf returns the fetcher as a TextFetcher. A fetcher that wraps another has a method Unwrap.
func TextFetcherOf(f Fetcher) (TextFetcher, error) {
	for {
		if t, ok := f.(TextFetcher); ok {
			return t, nil
		}
		wrapper, ok := f.(interface{ Unwrap() Fetcher })
		if !ok {
			return nil, errors.New("the job has no fetcher of texts: it needs exec or file")
		}
		f = wrapper.Unwrap()
	}
}
