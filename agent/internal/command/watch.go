package command

import (
	"context"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
)

// watchEvery is how often the files of the configuration are looked at.
const watchEvery = 2 * time.Second

// watchFiles asks for a reload when the files of the configuration have changed and have stayed the same since the last look, until
// ctx ends. It reads files by their names, so that it also sees a link that is moved, as in a Kubernetes ConfigMap. Loaded is what the
// configuration in use was read from.
func (s *service) watchFiles(ctx context.Context, loaded []config.Origin) {
	if slices.Contains(s.paths, "-") {
		s.log.Warn("standard input cannot be watched (watch_config)")
		return
	}
	if len(loaded) == 0 {
		return // it is in memory
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
			now = config.Origins(s.paths) // it can have other files now
		case slices.Equal(now, loaded) || slices.ContainsFunc(now, config.Origin.IsMissing):
		default:
			s.log.Info("files of the configuration have changed", "files", changed(loaded, now))
			loaded = now
			s.askReload()
		}
		last = now
	}
}

// changed returns the names of files that are not in both lists or differ.
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
