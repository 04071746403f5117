// Package remotewrite sends batches to a receiver of Prometheus remote-write: Prometheus, Mimir, Cortex, Thanos,
// VictoriaMetrics. Write turns a batch into chunks and queues them; Run sends them, one request a chunk, in order.
//
// The protocols are https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0) and
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ (2.0), called "the specification" below.
package remotewrite

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/web"
	"github.com/collectington/collectington/sinks"
)

//go:embed example.yaml
var example string

// Kind is the catalogue's entry.
var Kind = sinks.Kind{Name: "remote_write", Defaults: func() sinks.Config { return defaults() }, Example: example}

// Config sends every job's series to one receiver.
type Config struct {
	URL      setting.URL             `yaml:"url"`
	Protocol Protocol                `yaml:"protocol"`
	Headers  map[string]setting.Text `yaml:"headers"`
	Timeout  setting.Duration        `yaml:"timeout"` // of one request
	Request  Request                 `yaml:"request"`
	Queue    Queue                   `yaml:"queue"`

	MaxSampleAge setting.Duration `yaml:"max_sample_age"` // 0 = any
	StaleOnExit  bool             `yaml:"stale_on_exit"`

	Web web.Settings `yaml:",inline"`
}

// Request bounds one request.
type Request struct {
	MaxSamples int `yaml:"max_samples"` // a histogram is never divided, so a request may exceed it by one histogram
}

// Queue bounds what waits in memory.
type Queue struct {
	MaxSamples int              `yaml:"max_samples"`
	MaxAge     setting.Duration `yaml:"max_age"`
}

func defaults() *Config {
	return &Config{
		Timeout: setting.Duration(30 * time.Second),
		Request: Request{MaxSamples: 5000},
		Queue:   Queue{MaxSamples: 2_000_000, MaxAge: setting.Duration(2 * time.Hour)},
	}
}

// Protocol is the version of remote-write to speak.
type Protocol uint8

// Auto begins with 2.0 and falls back to 1.0 where the receiver does not take it.
const (
	Auto Protocol = iota
	Protocol1
	Protocol2
)

func (p Protocol) String() string { return [...]string{"auto", "1.0", "2.0"}[p] }

// UnmarshalText reads auto, 1.0 or 2.0.
func (p *Protocol) UnmarshalText(text []byte) error {
	for _, known := range []Protocol{Auto, Protocol1, Protocol2} {
		if string(text) == known.String() {
			*p = known
			return nil
		}
	}
	return errors.New("want auto, 1.0 or 2.0")
}

// MarshalText is String.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Validate implements sinks.Config.
func (c *Config) Validate() error {
	var all []error
	positive := func(path string, ok bool) {
		if !ok {
			all = append(all, setting.Bad(path, "want more than 0"))
		}
	}
	if c.URL.IsZero() {
		all = append(all, setting.Bad("url", "is needed: the receiver's address, such as https://mimir.example.com/api/v1/push"))
	}
	positive("timeout", c.Timeout > 0)
	positive("request.max_samples", c.Request.MaxSamples > 0)
	positive("queue.max_age", c.Queue.MaxAge > 0)
	if c.Queue.MaxSamples < c.Request.MaxSamples {
		all = append(all, setting.Bad("queue.max_samples", "want at least request.max_samples (%d)", c.Request.MaxSamples))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if problem := c.wrongHeader(name); problem != "" {
			all = append(all, setting.Bad("headers."+name, "%s", problem))
		}
	}
	return errors.Join(append(all, c.Web.Validate())...)
}

// wrongHeader says why a header cannot be set, "" where it can.
func (c *Config) wrongHeader(name string) string {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Host", "Connection", versionHeader:
		return "the protocol sets this header: leave it out"
	case "Authorization":
		if c.Web.Authenticates() {
			return "another setting makes this header: keep one of them"
		}
	}
	if !web.IsToken(name) {
		return "not a header's name: want letters, digits and dashes"
	}
	return ""
}

// New implements sinks.Config.
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	client, err := env.Web.Client(&c.Web)
	if err != nil {
		return nil, fmt.Errorf("set up remote-write to %s: %w", c.URL.Place(), err)
	}
	return newSink(c, env, client), nil
}
