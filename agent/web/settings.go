package web

// Settings are the settings of an HTTP client. They are inlined into a kind's own.
type Settings struct{}

// Validate names every problem by its setting.
func (s *Settings) Validate() error { return nil }
