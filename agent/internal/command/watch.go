package command

import (
	"context"
	"crypto/sha256"
	"os"
	"time"
)

// watchEvery is how often the configuration file is looked at.
const watchEvery = 2 * time.Second

// watchFile asks for a reload when the content of the configuration file has changed and has stayed the same since the last look, until
// ctx ends. It reads the file by its name, so that it also sees a link that is moved, as in a Kubernetes ConfigMap.
func (s *service) watchFile(ctx context.Context) {
	if s.file == "-" {
		s.log.Warn("standard input cannot be watched (watch_config)")
		return
	}
	loaded, last := s.seen, s.seen
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := digestOf(s.file)
		if now != loaded && now == last && now != (digest{}) {
			loaded = now
			s.log.Info("the configuration file has changed", "file", s.file)
			s.askReload()
		}
		last = now
	}
}

type digest [sha256.Size]byte

// digestOf returns a digest of a file's content, zero if it cannot be read. Standard input, "-", is not read.
func digestOf(path string) digest {
	if path == "-" {
		return digest{}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return digest{}
	}
	return sha256.Sum256(text)
}
