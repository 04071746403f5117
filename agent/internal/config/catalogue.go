package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// Catalogue has the kinds of fetchers, sources and sinks that a configuration file can use.
type Catalogue struct {
	Fetchers []sources.Kind[sources.Fetcher]
	Sources  []sources.Kind[sources.Source]
	Sinks    []sinks.Kind
}

// Names returns the names of all kinds: first fetchers, then sources, then sinks.
func (c *Catalogue) Names() []string {
	return slices.Concat(names(c.Fetchers), names(c.Sources), c.sinkNames())
}

func (c *Catalogue) sinkNames() []string {
	var all []string
	for _, k := range c.Sinks {
		all = append(all, k.Name)
	}
	return all
}

// Add adds a kind of fetcher, source or sink. No other kind may have the same name, since cton explain finds kinds by their
// names.
func (c *Catalogue) Add(kind any) error {
	var name string
	var complete bool
	switch k := kind.(type) {
	case sources.Kind[sources.Fetcher]:
		name, complete = k.Name, k.Defaults != nil
	case sources.Kind[sources.Source]:
		name, complete = k.Name, k.Defaults != nil
	case sinks.Kind:
		name, complete = k.Name, k.Defaults != nil
	default:
		return fmt.Errorf("add a kind of type %T: want a kind of fetcher, source or sink", kind)
	}
	switch {
	case name == "":
		return errors.New("add a kind: it has no name")
	case !complete:
		return fmt.Errorf("add the kind %q: it has no Defaults", name)
	case slices.Contains(c.Names(), name):
		return fmt.Errorf("add the kind %q: the catalogue has a kind of this name: choose another", name)
	case slices.Contains(reservedNames(), name):
		return fmt.Errorf("add the kind %q: the name is reserved: choose another", name)
	}
	switch k := kind.(type) {
	case sources.Kind[sources.Fetcher]:
		c.Fetchers = append(c.Fetchers, k)
	case sources.Kind[sources.Source]:
		c.Sources = append(c.Sources, k)
	case sinks.Kind:
		c.Sinks = append(c.Sinks, k)
	}
	return nil
}

// reservedNames returns the names that a kind cannot have: the settings of every job, and other names that cton explain
// shows.
func reservedNames() []string {
	return append(settingsAt(reflect.TypeFor[JobSettings](), ""), "job", "auth", "test")
}
