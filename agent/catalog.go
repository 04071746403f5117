package agent

import (
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/expose"
	"github.com/collectington/collectington/sinks/print"
	"github.com/collectington/collectington/sinks/pushgateway"
	"github.com/collectington/collectington/sinks/remotewrite"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/exposition"
	"github.com/collectington/collectington/sources/compute/jq"
	"github.com/collectington/collectington/sources/compute/starlark"
	"github.com/collectington/collectington/sources/fetch/exec"
	"github.com/collectington/collectington/sources/fetch/file"
	"github.com/collectington/collectington/sources/fetch/http"
	"github.com/collectington/collectington/sources/fetch/sql"
	"github.com/collectington/collectington/sources/receive"
	"github.com/collectington/collectington/sources/scrape"
)

// Catalogue returns all kinds that the program has: fetchers, sources and sinks.
func Catalogue() config.Catalogue {
	return config.Catalogue{
		Fetchers: []sources.Kind[sources.Fetcher]{
			http.Kind,
			exec.Kind,
			file.Kind,
			sql.Kind,
		},
		Sources: []sources.Kind[sources.Source]{
			jq.Kind,
			starlark.Kind,
			exposition.Kind,
			scrape.Kind,
			receive.Kind,
		},
		Sinks: []sinks.Kind{
			expose.Kind,
			pushgateway.Kind,
			remotewrite.Kind,
			print.Kind,
		},
	}
}
