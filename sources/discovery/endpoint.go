package discovery

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/collectington/collectington/agent/setting"
)

// Address is the address of a target.
type Address struct {
	URL      url.URL // its scheme and path may be ""
	Socket   string  // path of the unix socket; "" = none
	Instance string  // value of the label "instance" if nothing else sets this label; "" = the value of __address__
}

// Endpoint is the URL of a target with the labels of its series.
type Endpoint struct {
	URL    url.URL
	Socket string        // path of the unix socket; "" = none
	Labels labels.Labels // without labels whose names begin with __
}

// Maker makes endpoints from addresses, in the same way as Prometheus makes targets. Scheme, Path and Params are for addresses without
// their own.
type Maker struct {
	Job       string
	JobLabels map[string]string // labels of all targets; a label of the target with the same name has priority
	Scheme    string
	Path      string
	Params    url.Values
	Rules     []*relabel.Config

	builder *labels.Builder
}

// socketLabel is the label of a target with the path of its unix socket, as in Prometheus.
const socketLabel = "__unix_socket__"

// ErrRemoteSocket is the error if a list from a server names a unix socket. A server must not choose a socket of this machine.
var ErrRemoteSocket = errors.New("a list from http_sd cannot name a unix socket")

// Endpoint returns the endpoint for an address in a group. The result "keep" is false if relabel_configs drop the target.
//
// The labels __address__, __scheme__, __metrics_path__ and __param_NAME make the URL. Other labels that begin with __ are for
// the rules only.
func (m *Maker) Endpoint(a *Address, g *Group) (e Endpoint, keep bool, err error) {
	if g.IsRemote && (a.Socket != "" || g.Labels[socketLabel] != "") {
		return Endpoint{}, false, ErrRemoteSocket
	}
	if m.builder == nil {
		m.builder = labels.NewBuilder(labels.EmptyLabels())
	}
	params := m.discovered(a, g)
	b := m.builder
	if !relabel.ProcessBuilder(b, m.Rules...) {
		return Endpoint{}, false, nil
	}
	e.Socket = b.Get(socketLabel)
	address := b.Get(model.AddressLabel)
	if address == "" {
		return Endpoint{}, false, errors.New("relabel_configs leave no __address__: to drop a target use action: drop")
	}
	e.URL = url.URL{Scheme: b.Get(model.SchemeLabel), Host: address, Path: b.Get(model.MetricsPathLabel), RawQuery: a.URL.RawQuery}
	if err := checkEndpoint(&e.URL); err != nil {
		return Endpoint{}, false, err
	}
	b.Range(func(l labels.Label) {
		if name, ok := strings.CutPrefix(l.Name, model.ParamLabelPrefix); ok {
			if len(params[name]) == 0 {
				params[name] = []string{""}
			}
			params[name][0] = l.Value
		}
	})
	if !maps.EqualFunc(params, a.URL.Query(), slices.Equal) { // if equal, the query stays as written
		e.URL.RawQuery = params.Encode()
	}
	if b.Get(model.InstanceLabel) == "" {
		b.Set(model.InstanceLabel, cmp.Or(a.Instance, address))
	}
	b.Range(func(l labels.Label) {
		if strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			b.Del(l.Name)
		}
	})
	e.Labels = b.Labels()
	err = e.Labels.Validate(func(l labels.Label) error {
		if !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid() {
			return fmt.Errorf("the label %.80q is not valid UTF-8", l.Name)
		}
		return nil
	})
	return e, err == nil, err
}

// discovered puts the labels to which the rules are applied into the builder. It returns the parameters of the URL. The first value
// of each parameter is also a label.
func (m *Maker) discovered(a *Address, g *Group) url.Values {
	b := m.builder
	b.Reset(labels.EmptyLabels())
	set := func(name, value string) {
		if b.Get(name) == "" {
			b.Set(name, value)
		}
	}
	b.Set(model.AddressLabel, a.URL.Host)
	for name, value := range g.Labels {
		set(name, value)
	}
	for name, value := range m.JobLabels {
		set(name, value)
	}
	if g.Meta.Name != "" {
		b.Set(g.Meta.Name, g.Meta.Value)
	}
	if a.Socket != "" {
		b.Set(socketLabel, a.Socket)
	}
	set(model.JobLabel, m.Job)
	set(model.SchemeLabel, a.URL.Scheme)
	set(model.SchemeLabel, m.Scheme)
	set(model.MetricsPathLabel, a.URL.Path)
	set(model.MetricsPathLabel, m.Path)
	params := url.Values{}
	for name, values := range m.Params {
		params[name] = slices.Clone(values)
	}
	maps.Copy(params, a.URL.Query())
	for name, values := range params {
		set(model.ParamLabelPrefix+name, values[0])
	}
	return params
}

// checkEndpoint checks a URL that was made from labels.
func checkEndpoint(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("the scheme %.20q is not http or https", u.Scheme)
	}
	var a setting.URL
	if err := a.UnmarshalText([]byte("http://" + u.Host)); err != nil || a.Host != u.Host || a.Path != "" || a.URL.RawQuery != "" || a.Fragment != "" {
		return fmt.Errorf("%.80q is not host:port, such as localhost:9100", u.Host)
	}
	return nil
}
