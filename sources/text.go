package sources

import (
	"context"
	"errors"
	"time"
)

// Text is a text that a fetcher has fetched, before it is decoded.
type Text struct {
	From     string    // where the text came from, for messages: "read /path" or "run program"
	Name     string    // name of the file; "" = the text is not a file, and is the only text of the tick
	All      []string  // names of all texts of the tick
	Modified time.Time // when the file was modified last; zero = unknown
	Body     []byte    // UTF-8; yield may change the bytes up to the capacity of Body
	Err      error     // why the text could not be fetched; nil = Body is set
}

// TextFetcher is an optional interface of a Fetcher: it can fetch texts without decoding them.
type TextFetcher interface {
	// FetchTexts fetches the texts and calls yield for each. If yield returns an error, FetchTexts stops and returns that error.
	FetchTexts(ctx context.Context, tick Tick, yield func(Text) error) error
}

// TextReader is an optional interface of a source's Config. It means that the source needs a fetcher that is a TextFetcher.
type TextReader interface{ ReadsTexts() }

// TextConfig is an optional interface of the Config of a TextFetcher. CheckTexts returns an error if a setting is set that
// has no meaning for texts that are not decoded, such as format.
type TextConfig interface{ CheckTexts() error }

// TextFetcherOf returns f, or a fetcher that f wraps, as a TextFetcher. A fetcher that wraps another one has a method Unwrap.
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
