// Package remotewrite is the remote_write sink. It sends batches to a receiver of Prometheus remote-write: Prometheus,
// Mimir, Cortex, Thanos, VictoriaMetrics.
//
//	sink.Write ──▶ encode.Encoder ──▶ spool.Queue ──▶ deliver.Sender ──▶ receiver
//	               requests of a      on disk or      sink.Run
//	               batch              in memory
//
// Run and Write share the queue. They also share the Format, which says what kind of requests the receiver accepts. Package wire encodes
// and decodes requests for both.
//
// The protocols are specified in https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0) and
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ (2.0). The comments call them "the specification".
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
	"github.com/collectington/collectington/sinks/remotewrite/deliver"
	"github.com/collectington/collectington/sinks/remotewrite/spool"
	"github.com/collectington/collectington/sinks/remotewrite/wire"
)

//go:embed example.yaml
var example string

// Kind is the entry in the catalogue.
var Kind = sinks.Kind{
	Name:        "remote_write",
	Defaults:    func() sinks.Config { return defaults() },
	Example:     example,
	Forwards:    true,
	Notes:       func(c sinks.Config) []string { return c.(*Config).notes() },
	SpoolDir:    func(c sinks.Config) string { return c.(*Config).Spool.Dir },
	ForBackfill: func(c sinks.Config) sinks.Config { return c.(*Config).forBackfill() },
}

// Config holds the settings of the sink.
type Config struct {
	URL      setting.URL             `yaml:"url"`
	Protocol Protocol                `yaml:"protocol"`
	Headers  map[string]setting.Text `yaml:"headers"`
	Timeout  setting.Duration        `yaml:"timeout"` // time limit for one request
	Request  Request                 `yaml:"request"`
	Refusals Refusals                `yaml:"on_refusal"` // what to do with a request that the receiver refuses
	Spool    Spool                   `yaml:"spool"`

	Connections int `yaml:"connections"` // number of connections; each sends its own part of the series

	WriteRelabel relabel.Rules    `yaml:"write_relabel_configs"`
	MaxSampleAge setting.Duration `yaml:"max_sample_age"` // samples that are older are dropped; 0 = no limit
	StaleOnExit  bool             `yaml:"stale_on_exit"`

	Web httpclient.Settings `yaml:",inline"`
}

// Request holds the settings of one request.
type Request struct {
	MaxSamples int `yaml:"max_samples"` // the limit; a histogram is not divided, so a request may exceed it by one histogram
}

// Spool holds the settings of the queue.
type Spool struct {
	Dir      string           `yaml:"dir" setting:"path"` // "" = in memory
	MaxBytes setting.Bytes    `yaml:"max_bytes"`          // at most maxMemory if the queue is in memory
	MaxAge   setting.Duration `yaml:"max_age"`
	Order    Order            `yaml:"order"`
}

// maxMemory is the size of the queue in memory, in bytes. About five million samples fit into it.
const maxMemory = 64 << 20

// maxConnections is the largest number of connections to a receiver.
const maxConnections = 16

func defaults() *Config {
	return &Config{
		Timeout: setting.Duration(30 * time.Second),
		Request: Request{MaxSamples: 5000},
		Spool:   Spool{MaxBytes: 1 << 30, MaxAge: setting.Duration(48 * time.Hour)},

		Connections: 1,
	}
}

// Protocol is the version of remote-write to send.
type Protocol uint8

// Auto starts with 2.0 and falls back to 1.0 if the receiver does not accept 2.0. The other values are those of package wire.
const (
	Auto      = Protocol(0)
	Protocol1 = Protocol(wire.V1)
	Protocol2 = Protocol(wire.V2)
)

func (p Protocol) String() string { return [...]string{"auto", "1.0", "2.0"}[p] }

// Words returns all values that the setting can have, for cton explain.
func (Protocol) Words() []string {
	return []string{Auto.String(), Protocol1.String(), Protocol2.String()}
}

// UnmarshalText accepts auto, 1.0 and 2.0.
func (p *Protocol) UnmarshalText(text []byte) error {
	for _, known := range []Protocol{Auto, Protocol1, Protocol2} {
		if string(text) == known.String() {
			*p = known
			return nil
		}
	}
	return errors.New("want auto, 1.0 or 2.0")
}

// MarshalText returns the text that UnmarshalText accepts.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Order is the order in which queued requests are sent.
type Order spool.Order

// Words returns all values that the setting can have, for cton explain.
func (Order) Words() []string {
	return []string{Order(spool.OldestFirst).String(), Order(spool.NewestFirst).String()}
}

// UnmarshalText accepts oldest_first and newest_first.
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

// MarshalText returns the text that UnmarshalText accepts.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Refusals says what to do with a request that the receiver refuses.
type Refusals deliver.Refusals

func (r Refusals) String() string { return [...]string{"auto", "drop", "search"}[r] }

// Words returns all values that the setting can have, for cton explain.
func (Refusals) Words() []string {
	return []string{Refusals(deliver.Auto).String(), Refusals(deliver.Drop).String(), Refusals(deliver.Search).String()}
}

// UnmarshalText accepts auto, drop and search.
func (r *Refusals) UnmarshalText(text []byte) error {
	for _, known := range []deliver.Refusals{deliver.Auto, deliver.Drop, deliver.Search} {
		if string(text) == Refusals(known).String() {
			*r = Refusals(known)
			return nil
		}
	}
	return errors.New("want auto, drop or search")
}

// MarshalText returns the text that UnmarshalText accepts.
func (r Refusals) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Validate implements sinks.Config.
func (c *Config) Validate() error {
	var all []error
	positive := func(path string, ok bool) {
		if !ok {
			all = append(all, setting.Errorf(path, "want more than 0"))
		}
	}
	if c.URL.IsZero() {
		all = append(all, setting.Errorf("url", "is required: the receiver's address, such as https://mimir.example.com/api/v1/push"))
	}
	positive("timeout", c.Timeout > 0)
	positive("request.max_samples", c.Request.MaxSamples > 0)
	positive("spool.max_bytes", c.Spool.MaxBytes > 0)
	positive("spool.max_age", c.Spool.MaxAge > 0)
	if c.Connections < 1 || c.Connections > maxConnections {
		all = append(all, setting.Errorf("connections", "want 1 to %d", maxConnections))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if problem := c.wrongHeader(name); problem != "" {
			all = append(all, setting.Errorf("headers."+name, "%s", problem))
		}
	}
	if _, err := c.WriteRelabel.Compile("write_relabel_configs"); err != nil {
		all = append(all, err)
	}
	return errors.Join(append(all, c.Web.Validate())...)
}

// Claims implements sinks.Claimer. Two sinks cannot share a spool directory.
func (c *Config) Claims() []string {
	if c.Spool.Dir == "" {
		return nil
	}
	return []string{"the spool " + filepath.Clean(c.Spool.Dir)}
}

// notes returns what the receiver must support with these settings.
func (c *Config) notes() []string {
	if c.Spool.Order == Order(spool.NewestFirst) {
		return []string{"spool.order newest_first needs a receiver that takes samples out of order " +
			"(Prometheus and Mimir: out_of_order_time_window, at least spool.max_age)"}
	}
	return nil
}

// forBackfill returns the settings for a backfill.
func (c *Config) forBackfill() *Config {
	past := *c
	past.Spool.Dir, past.Spool.Order, past.StaleOnExit = "", Order(spool.OldestFirst), false
	return &past
}

// wrongHeader returns the reason why the header cannot be set, or "".
func (c *Config) wrongHeader(name string) string {
	switch http.CanonicalHeaderKey(name) {
	case "Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Host", "Connection", "User-Agent", deliver.VersionHeader:
		return "the protocol sets this header: remove it"
	case "Authorization":
		if c.Web.Authenticates() {
			return "another setting sets this header: keep one of them"
		}
	}
	return httpclient.CheckHeader(name, c.Headers[name])
}

// New implements sinks.Config.
func (c *Config) New(env sinks.Env) (sinks.Sink, error) {
	client, err := env.Web.Client(&c.Web)
	if err != nil {
		return nil, fmt.Errorf("set up remote-write to %s: %w", c.URL.Place(), err)
	}
	client.KeepMethod() // if a redirect made the request a GET without samples, a 200 would not mean success
	rules, err := c.WriteRelabel.Compile("write_relabel_configs")
	if err != nil {
		return nil, err
	}
	return newSink(c, env, client, rules), nil
}

// AuthName returns the name of the login that the settings refer to, or "".
func (c *Config) AuthName() string { return c.Web.AuthName() }
