// Package remotewrite sends batches to a receiver of Prometheus remote-write: Prometheus, Mimir, Cortex, Thanos,
// VictoriaMetrics. Write turns a batch into requests and queues them; Run sends them.
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
	"path/filepath"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/relabel"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
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
	Spool    Spool                   `yaml:"spool"`

	Connections int `yaml:"connections"` // each with the series that are its own

	WriteRelabel relabel.Rules    `yaml:"write_relabel_configs"`
	MaxSampleAge setting.Duration `yaml:"max_sample_age"` // 0 = any
	StaleOnExit  bool             `yaml:"stale_on_exit"`

	Web httpclient.Settings `yaml:",inline"`
}

// Request bounds one request.
type Request struct {
	MaxSamples int `yaml:"max_samples"` // a histogram is never divided, so a request may exceed it by one histogram
}

// Spool is what waits to be sent.
type Spool struct {
	Dir      string           `yaml:"dir"`       // "" = in memory alone
	MaxBytes setting.Bytes    `yaml:"max_bytes"` // in memory at most maxMemory
	MaxAge   setting.Duration `yaml:"max_age"`
	Order    Order            `yaml:"order"`
}

// maxMemory bounds what waits in memory, in bytes: some five million samples.
const maxMemory = 64 << 20

// maxConnections bounds the connections to one receiver.
const maxConnections = 16

func defaults() *Config {
	return &Config{
		Timeout: setting.Duration(30 * time.Second),
		Request: Request{MaxSamples: 5000},
		Spool:   Spool{MaxBytes: 1 << 30, MaxAge: setting.Duration(48 * time.Hour)},

		Connections: 1,
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

// Order says which of the requests that wait is sent first.
type Order spool.Order

// UnmarshalText reads oldest_first or newest_first.
func (o *Order) UnmarshalText(text []byte) error {
	for _, known := range []Order{Order(spool.OldestFirst), Order(spool.NewestFirst)} {
		if string(text) == known.String() {
			*o = known
			return nil
		}
	}
	return errors.New("want oldest_first or newest_first")
}

func (o Order) String() string { return [...]string{"oldest_first", "newest_first"}[o] }

// MarshalText is String.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

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
	positive("spool.max_bytes", c.Spool.MaxBytes > 0)
	positive("spool.max_age", c.Spool.MaxAge > 0)
	if c.Connections < 1 || c.Connections > maxConnections {
		all = append(all, setting.Bad("connections", "want 1 to %d", maxConnections))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if problem := c.wrongHeader(name); problem != "" {
			all = append(all, setting.Bad("headers."+name, "%s", problem))
		}
	}
	if _, err := c.WriteRelabel.Compile("write_relabel_configs"); err != nil {
		all = append(all, err)
	}
	return errors.Join(append(all, c.Web.Validate())...)
}

// Claims names the spool's directory.
func (c *Config) Claims() []string {
	if c.Spool.Dir == "" {
		return nil
	}
	return []string{"the spool " + filepath.Clean(c.Spool.Dir)}
}

// Notes says what a receiver must be able to do.
func (c *Config) Notes() []string {
	if c.Spool.Order == Order(spool.NewestFirst) {
		return []string{"spool.order newest_first needs a receiver that takes samples out of order " +
			"(Prometheus and Mimir: out_of_order_time_window, at least spool.max_age)"}
	}
	return nil
}

// SpoolDir implements sinks.Spooler.
func (c *Config) SpoolDir() string { return c.Spool.Dir }

// ForBackfill implements sinks.Backfiller.
func (c *Config) ForBackfill() sinks.Config {
	past := *c
	past.Spool.Dir, past.Spool.Order, past.StaleOnExit = "", Order(spool.OldestFirst), false
	return &past
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
	if !httpclient.IsToken(name) {
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
	client.KeepMethod() // a GET without samples, and its 200, would be no success
	rules, err := c.WriteRelabel.Compile("write_relabel_configs")
	if err != nil {
		return nil, err
	}
	return newSink(c, env, client, rules), nil
}

// AuthName is the login that the settings name, "" where they name none.
func (c *Config) AuthName() string { return c.Web.AuthName() }
