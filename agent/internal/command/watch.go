package command

import (
	"context"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
)

// watchEvery is the interval at which watchFiles looks at the files of the configuration.
const watchEvery = 2 * time.Second

// watchFiles requests a reload when the files of the configuration have changed. The argument "loaded" describes the files from which the
// current configuration was read. watchFiles waits until the present files differ from this description, and until they have not changed
// since the previous look. It returns when ctx ends. It looks at files by name, so that it also notices a changed symbolic link, as in a
// Kubernetes ConfigMap.
func (s *service) watchFiles(ctx context.Context, loaded []config.Origin) {
	if slices.Contains(s.paths, "-") {
		s.log.Warn("standard input cannot be watched (watch_config)")
		return
	}
	if len(loaded) == 0 {
		return // the configuration is not in files but in memory
	}
	last := loaded
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := config.Look(last)
		switch {
		case !slices.Equal(now, last):
			now = config.Origins(s.paths) // the configuration may now consist of other files
		case slices.Equal(now, loaded) || slices.ContainsFunc(now, config.Origin.IsMissing):
		default:
			s.log.Info("files of the configuration have changed", "files", changed(loaded, now))
			loaded = now
			s.askReload()
		}
		last = now
	}
}

// changed returns the names of the files that are in only one of the two lists, or that differ between the lists.
func changed(before, now []config.Origin) (names []string) {
	for _, all := range [][2][]config.Origin{{now, before}, {before, now}} {
		for _, o := range all[0] {
			if !o.IsPattern && !slices.Contains(all[1], o) && !slices.Contains(names, o.Name) {
				names = append(names, o.Name)
			}
		}
	}
	return names
}
