package peers

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
)

// Scrape lets Prometheus' own scraper scrape targets for the duration d. The argument "settings" is one scrape_config, whose targets are in
// static_configs.
func (p *Prometheus) Scrape(t testing.TB, dial func(ctx context.Context, network, address string) (net.Conn, error), settings string, d time.Duration) {
	t.Helper()
	loaded, err := config.Load("scrape_configs:\n- "+settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(fmt.Errorf("%w in:\n%s", err, settings))
	}
	options := &scrape.Options{
		HTTPClientOptions:        []promconfig.HTTPClientOption{promconfig.WithDialContextFunc(dial)},
		DiscoveryReloadOnStartup: true, DiscoveryReloadInterval: model.Duration(time.Millisecond), ParseST: true,
	}
	// Without this, the scraper asks DNS for the machine's name. The field is meant for Prometheus' own tests.
	fqdn := reflect.ValueOf(options).Elem().FieldByName("fqdn")
	reflect.NewAt(fqdn.Type(), fqdn.Addr().UnsafePointer()).Elem().SetString("prometheus.test")
	manager, err := scrape.NewManager(options, slog.New(slog.DiscardHandler), nil, nil, p.db, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.ApplyConfig(loaded); err != nil {
		t.Fatal(err)
	}
	targets := map[string][]*targetgroup.Group{}
	for _, c := range loaded.ScrapeConfigs {
		for _, sd := range c.ServiceDiscoveryConfigs {
			targets[c.JobName] = append(targets[c.JobName], sd.(discovery.StaticConfig)...)
		}
	}
	found := make(chan map[string][]*targetgroup.Group, 1)
	found <- targets
	ended := make(chan error)
	go func() { ended <- manager.Run(found) }()
	<-time.After(d)
	manager.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
