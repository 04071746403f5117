package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/statuspage"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
)

type statusCmd struct {
	Job   string        `arg:"" optional:"" help:"Show only this job, with its last requests and series."`
	URL   string        `help:"The address of the status page, such as http://localhost:8000 or unix:///run/cton.sock; default: that of the configuration." placeholder:"URL"`
	Watch bool          `help:"Show the status again and again until stopped."`
	Every time.Duration `default:"2s" help:"How often, with --watch."`
	JSON  bool          `name:"json" help:"Show the JSON of /api/v1/."`
}

// Limits of the agent's answer: its size in bytes, and the time to receive it.
const (
	maxStatus     = 64 << 20
	statusTimeout = 10 * time.Second
)

// Run shows the status of a running agent. The exit code is 4 if something is wrong.
func (c *statusCmd) Run(ctx context.Context, a *App, g *globals) error {
	address := c.URL
	if address == "" {
		plan, err := a.load(g, "")
		if err != nil {
			return fmt.Errorf("%w\nor name the address of the status page with --url", err)
		}
		if address = a.statusAddress(plan); address == "" {
			return errors.New("the configuration serves no status page: set web.listen, or add an expose sink")
		}
	}
	client, base, err := a.statusClient(address)
	if err != nil {
		return err
	}
	for {
		wrong, err := c.show(ctx, a, client, base)
		if !c.Watch {
			if err == nil && wrong {
				return &exitError{code: exitPartial}
			}
			return err
		}
		if err != nil {
			fmt.Fprintln(a.Out, "cton: "+err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(c.Every, 100*time.Millisecond)):
		}
	}
}

// statusAddress returns the URL at which a plan serves the status page: on its own listener (web.listen), else on the listener of a
// sink. It returns "" if the plan serves none.
func (a *App) statusAddress(plan *config.Plan) string {
	listen, file := plan.Web.Listen, plan.Web.WebConfigFile
	if listen == "" {
		for _, s := range plan.Sinks {
			if server, ok := s.Config.(sinks.Server); ok {
				listen, file = server.Serves()
				break
			}
		}
	}
	if listen == "" {
		return ""
	}
	return withScheme(listen, webserver.File(a.vault.Dir, file))
}

// withScheme returns the URL of a server that listens on an address. The scheme is https if the web configuration file sets up TLS.
func withScheme(listen, webConfigFile string) string {
	if strings.HasPrefix(listen, "unix://") {
		return listen
	}
	root := pageURL(listen)
	if text, err := os.ReadFile(webConfigFile); err == nil && strings.Contains(string(text), "tls_server_config") {
		root = strings.Replace(root, "http://", "https://", 1)
	}
	return root
}

// statusClient returns a client for the address of a status page, and the URL of that address, without a path.
func (a *App) statusClient(address string) (*httpclient.Client, *url.URL, error) {
	host := &httpclient.Host{Secrets: a.vault, UserAgent: "cton/" + a.Version, Dial: a.Dial}
	base, err := url.Parse(address)
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		host.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		base = &url.URL{Scheme: "http", Host: "localhost"}
	} else if err != nil || base.Host == "" {
		return nil, nil, errors.New("--url: want a URL such as http://localhost:8000 or unix:///run/cton.sock")
	}
	client, err := host.Client(&httpclient.Settings{})
	return client, base, err
}

// show shows the status once. It reports whether something is wrong.
func (c *statusCmd) show(ctx context.Context, a *App, client *httpclient.Client, base *url.URL) (wrong bool, err error) {
	at := base.JoinPath("api/v1/status")
	if c.Job != "" {
		at = base.JoinPath("api/v1/jobs", url.PathEscape(c.Job))
	}
	body, err := getStatus(ctx, client, at)
	if err != nil {
		return false, err
	}
	var s statuspage.Status
	var j statuspage.Job
	switch {
	case c.Job != "":
		err = json.Unmarshal(body, &j)
		wrong = j.State == statuspage.JobFailed || j.State == statuspage.JobPartial || j.State == statuspage.JobOverdue
	default:
		err = json.Unmarshal(body, &s)
		wrong = len(s.Problems) > 0
	}
	if err != nil {
		return false, fmt.Errorf("%s answers, but not as a cton agent does: check --url: %w", at.Redacted(), err)
	}
	if c.JSON {
		_, err = a.Out.Write(body)
		return wrong, err
	}
	if c.Watch && isTerminal(a.Out) {
		fmt.Fprint(a.Out, "\x1b[H\x1b[2J") // clear the screen
	}
	out := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	if c.Job != "" {
		writeJob(out, &j, time.Now())
	} else {
		writeStatus(out, &s)
	}
	return wrong, out.Flush()
}

func getStatus(ctx context.Context, client *httpclient.Client, at *url.URL) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, statusTimeout, fmt.Errorf("timed out after %s", statusTimeout))
	defer cancel()
	bare := *at
	bare.User = nil
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, bare.String(), nil)
	if err != nil {
		return nil, err
	}
	if at.User != nil {
		password, _ := at.User.Password()
		req.SetBasicAuth(at.User.Username(), password)
	}
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w; does the agent run?", err)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	return resp.ReadBody(nil, httpclient.Limit{Bytes: maxStatus})
}

func writeStatus(w io.Writer, s *statuspage.Status) {
	fmt.Fprintf(w, "cton %s, up %s, %s, %s\n", s.Version, s.Now.Sub(s.Started).Round(time.Second), text.Count(len(s.Jobs), "job"), text.Count(len(s.Sinks), "sink"))
	writeLease(w, s.Lease)
	if s.Summary {
		fmt.Fprintln(w, "Only names, states and times are shown, since the address is open to the network.")
	}
	if len(s.Problems) == 0 {
		fmt.Fprintln(w, "All is well.")
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "%s: %s\n", strings.ToUpper(p.Level), printable(strings.TrimSpace(p.Kind+" "+p.Name)+": "+p.Text))
		if p.Do != "" {
			fmt.Fprintf(w, "  %s\n", printable(p.Do))
		}
	}
	fmt.Fprint(w, "\nSTATE\tJOB\tSCHEDULE\tLAST RUN\tTOOK\tNEXT RUN\tREADINGS\tSERIES\n")
	for _, j := range s.Jobs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", j.State, printable(j.Name), printable(j.Schedule), ago(s.Now, j.LastStart), took(j.Duration),
			ago(s.Now, j.NextRun), j.Readings, j.Series)
	}
	writeWatched(w, s)
	fmt.Fprint(w, "\nSTATE\tSINK\tKIND\tSENT\tA SECOND\tWAITING\tQUEUE\tDROPPED\n")
	for _, k := range s.Sinks {
		dropped := int64(0)
		for _, n := range k.Dropped {
			dropped += n
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.3g\t%d\t%s\t%d\n", k.State, printable(k.Name), k.Kind, k.Sent, k.Rate, k.Pending, cmp.Or(k.Full(), "-"), dropped)
	}
}

// writeLease writes whether the agent is active or stands by, if it has a lease.
func writeLease(w io.Writer, l *statuspage.Lease) {
	switch {
	case l == nil:
	case l.Active:
		fmt.Fprintf(w, "Active: this process holds the lease %s and runs the jobs.\n", printable(l.Name))
	case l.Holder == "":
		fmt.Fprintf(w, "Standby: it is not known which process holds the lease %s.\n", printable(l.Name))
	default:
		fmt.Fprintf(w, "Standby: %s holds the lease %s and runs the jobs.\n", printable(l.Holder), printable(l.Name))
	}
}

// writeWatched writes the series that web.watch selects.
func writeWatched(w io.Writer, s *statuspage.Status) {
	if len(s.Watched) > 0 {
		fmt.Fprint(w, "\nWATCHED\tJOB\tVALUE\tAT\n")
	}
	for _, one := range s.Watched {
		if one.Series == nil {
			fmt.Fprintf(w, "%s\t–\t–\tno job has this series now\n", printable(one.Missing))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(one.Series.String()), printable(one.Job), one.Series.Value, ago(s.Now, one.At))
	}
}

func writeJob(w io.Writer, j *statuspage.Job, now time.Time) {
	fmt.Fprintf(w, "%s: %s, %s\n", printable(j.Name), j.State, printable(j.Schedule))
	fmt.Fprintf(w, "last run %s, took %s; next run %s\n%d readings, %d series\n", ago(now, j.LastStart), took(j.Duration), ago(now, j.NextRun), j.Readings, j.Series)
	if j.Error != "" {
		fmt.Fprintf(w, "ERROR: %s\n", printable(j.Error))
	}
	if j.Detail == nil {
		return
	}
	for _, line := range j.Detail.Problems {
		fmt.Fprintf(w, "  %s\n", printable(line))
	}
	if len(j.Detail.Requests) > 0 {
		fmt.Fprint(w, "\nREQUEST\tSTATUS\tTOOK\tWAITED\tBYTES\tAT\n")
	}
	for _, r := range j.Detail.Requests {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%s\n", printable(r.Method+" "+r.URL), r.Code, took(r.Duration), took(r.Waited), r.Bytes, ago(now, r.At))
	}
	if len(j.Detail.Series.Series) > 0 {
		fmt.Fprint(w, "\nSERIES\tVALUE\n")
	}
	for _, s := range j.Detail.Series.Series {
		fmt.Fprintf(w, "%s\t%s\n", printable(s.String()), s.Value)
	}
	if more := j.Detail.Series.Total - len(j.Detail.Series.Series); more > 0 {
		fmt.Fprintf(w, "… %d more\n", more)
	}
}

// printable returns a text in one line and without control characters. A text from outside could otherwise control the terminal.
func printable(s string) string { return text.OneLine(s) }

func took(seconds float64) string {
	if seconds == 0 {
		return "–"
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// ago returns how far a time is in the past or the future, such as "5s ago" or "in 5s".
func ago(now, at time.Time) string {
	if at.IsZero() {
		return "–"
	}
	d := now.Sub(at).Round(time.Second)
	if d < 0 {
		return "in " + (-d).String()
	}
	return d.String() + " ago"
}
