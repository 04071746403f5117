package setting

import "strings"

// PathOrURL is a [URL], or only the path and query of one, which begin with a slash. The server of a path is known only where it is used.
type PathOrURL struct {
	URL
	IsPath bool // the server of URL is a placeholder
}

// noServer is put before a path, so that the result is a URL.
const noServer = "http://target.invalid"

// UnmarshalText parses a URL or a path.
func (p *PathOrURL) UnmarshalText(text []byte) error {
	if p.IsPath = strings.HasPrefix(string(text), "/"); p.IsPath {
		text = []byte(noServer + string(text))
	}
	return p.URL.UnmarshalText(text)
}

// MarshalText returns the URL or path as it was written.
func (p PathOrURL) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String returns the URL or path as it was written.
func (p *PathOrURL) String() string {
	if p.IsPath {
		return strings.TrimPrefix(p.URL.String(), noServer)
	}
	return p.URL.String()
}

// Place returns the URL or path without its query, for messages.
func (p PathOrURL) Place() string {
	if p.IsPath {
		return strings.TrimPrefix(p.URL.Place(), noServer)
	}
	return p.URL.Place()
}
