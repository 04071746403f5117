package legacy_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// class is a Go source with the name of a Python class.
type class struct {
	Settings map[string]any            `yaml:"settings"`
	Secrets  map[string]setting.Secret `yaml:"secrets"`
	Metrics  sources.Metrics           `yaml:"metrics"`
}

func (c *class) Validate() error                         { return c.Metrics.Validate() }
func (c *class) New(sources.Env) (sources.Source, error) { return nil, errors.New("not made here") }
func (c *class) Declares() []*metric.Desc                { return c.Metrics.Descs() }

// catalogue returns the kinds of cton and a class.
func catalogue() config.Catalogue {
	c := agent.Catalogue()
	c.Sources = append(c.Sources, sources.Kind[sources.Source]{
		Name: "SplunkApi", Defaults: func() sources.Config[sources.Source] { return &class{} },
	})
	return c
}

// folder returns a folder with the files that the old files of these tests refer to.
func folder(t testing.TB) *setting.SecretStore {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"splunk":          "API_KEY=\"hunter22\"\nAPI_ID=\"hunter23\"\n",
		"splunk_api.star": "", "api.star": "", "other.star": "", "package/api.star": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &setting.SecretStore{Dir: dir}
}

// seed is the example on the page of the Python framework. Its class is a Go source here.
const seed = `{
	"port" : 8000,
	"api_call_intervals" : 2,
	"log_level" : "INFO",
	"services" : {
		"splunk" : {
			"service_class" : "SplunkApi",
			"service_module" : "splunk_api",
			"api_url" : "https://api.victorops.com/api-reporting/v2/incidents",
			"prometheus_metrics_mapping" : {
				"counter" : [ "number_of_incidents" ],
				"summary" : [ "time_taken_to_acknowledge", "time_taken_to_resolve" ]
			},
			"secret_file_path" : "./splunk",
			"api_key" : "",
			"api_id" : ""
		}
	}
}`

func translate(t testing.TB, text string, files *setting.SecretStore) *legacy.Translation {
	t.Helper()
	doc, err := config.Parse("config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !legacy.Is(doc) {
		t.Fatalf("not a file of the Python framework:\n%s", text)
	}
	return legacy.Translate(doc, legacy.Options{Catalogue: catalogue(), Files: files})
}

// TestClassInGo checks that a Go source with the name of the class computes the metrics of the service, and gets all settings of
// the old file.
func TestClassInGo(t *testing.T) {
	old := translate(t, seed, folder(t))
	plan, err := old.Plan()
	if err != nil {
		t.Fatal(err)
	}
	job := plan.Jobs[0]
	every, _ := job.Schedule.Every()
	if job.Name != "splunk" || every.Seconds() != 2 || job.MetricsAt != "SplunkApi.metrics" || old.LogLevel != "info" || len(plan.Sinks) != 1 {
		t.Errorf("the plan is %+v, the log level %s", plan, old.LogLevel)
	}
	got := job.SourceConfig.(*class)
	if diff := cmp.Diff(map[string]any{"api_url": "https://api.victorops.com/api-reporting/v2/incidents", "api_key": "", "api_id": ""}, got.Settings); diff != "" {
		t.Errorf("settings, - wanted, + got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]setting.Secret{"API_KEY": "file:./splunk#API_KEY", "API_ID": "file:./splunk#API_ID"}, got.Secrets); diff != "" {
		t.Errorf("secrets, - wanted, + got:\n%s", diff)
	}
	var metrics []string
	for _, d := range got.Declares() {
		metrics = append(metrics, d.Type.String()+" "+d.Name+" "+d.From.String()+" "+d.Help)
	}
	if diff := cmp.Diff([]string{
		"counter number_of_incidents_total increment Number of incidents.",
		"summary time_taken_to_acknowledge total Time taken to acknowledge.",
		"summary time_taken_to_resolve total Time taken to resolve.",
	}, metrics); diff != "" {
		t.Errorf("metrics, - wanted, + got:\n%s", diff)
	}
}

// TestAnswersAreKept checks that an answer is used again for a minute, as in Python, if the interval is shorter than that.
func TestAnswersAreKept(t *testing.T) {
	const script, inGo = "      expires: 60s # as before", "      cache_for: 60s # as before"
	for interval, kept := range map[string]bool{"2": true, "0": true, "59.9": true, "60": false, "300": false} {
		for class, want := range map[string]string{"SplunkApi": inGo, "Other": script} {
			old := translate(t, strings.NewReplacer(`: 2,`, `: `+interval+`,`, `"SplunkApi"`, strconv.Quote(class)).Replace(seed), folder(t))
			text, err := old.YAML("config.json")
			if _, invalid := old.Plan(); err != nil || invalid != nil {
				t.Fatal(err, invalid)
			}
			if got := strings.Contains(string(text), "\n"+want); got != kept || strings.Count(string(text), "60s #") > 1 {
				t.Errorf("%s each %s s: kept %v, want %v:\n%s", class, interval, got, kept, text)
			}
		}
	}
}

// same checks that a converted file gives the same plan as the old file.
func same(t *testing.T, old *legacy.Translation, plan *config.Plan, name string) {
	t.Helper()
	text, err := old.YAML(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("a secret's value is shown:\n%s", text)
	}
	again, err := config.Load("cton.yaml", text, catalogue())
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if diff := cmp.Diff(keys(plan), keys(again)); diff != "" {
		t.Errorf("- old, + converted:\n%s\nconverted is\n%s", diff, text)
	}
}

// keys returns the keys of the sinks and jobs of a plan. They differ if two plans have different meanings.
func keys(p *config.Plan) []string {
	var all []string
	for _, s := range p.Sinks {
		all = append(all, "sink "+s.Name+" "+s.Key)
	}
	for _, j := range p.Jobs {
		all = append(all, "job "+j.Name+" "+j.Key+" "+j.Fetches+" "+strings.Join(j.Sinks, ","))
	}
	return all
}

// TestConvertedIsTheSame checks that every valid old file of the stories gives the same plan after conversion.
func TestConvertedIsTheSame(t *testing.T) {
	files := folder(t)
	right := 0
	for _, text := range append(stories(t), seed) {
		old := translate(t, text, files)
		plan, err := old.Plan()
		if err != nil {
			continue
		}
		right++
		same(t, old, plan, "config.json")
	}
	if right < 6 {
		t.Errorf("only %d files are valid", right)
	}
}

// stories returns the old files of the stories.
func stories(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../../testdata/*/legacy-*.txtar", "../../testdata/*/convert*.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d stories, %v", pattern, len(names), err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range txtar.Parse(text).Files {
				if text := strings.ReplaceAll(string(f.Data), "$API", "http://a.example"); strings.HasSuffix(f.Name, ".json") && parses(text) {
					all = append(all, text)
				}
			}
		}
	}
	return all
}

func parses(text string) bool {
	doc, err := config.Parse("config.json", []byte(text))
	return err == nil && legacy.Is(doc)
}

// TestClassNearlyInGo checks that the problem of a class without a script names a Go source with a similar name.
func TestClassNearlyInGo(t *testing.T) {
	for class, want := range map[string]string{"SplunkAPI": `"SplunkAPI"; did you mean "SplunkApi", which this cton has?`, "Scripts": `service_class, "Scripts"`} {
		text := strings.NewReplacer(`"SplunkApi"`, strconv.Quote(class), `"splunk_api"`, `"gone"`).Replace(seed)
		if _, err := translate(t, text, folder(t)).Plan(); err == nil || !strings.Contains(err.Error(), want+"\n") {
			t.Errorf("%s: got %v", class, err)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{
		`{"services": {}}`: true, `{"services": 1, "x": 2}`: true, "services: {}": true, "\ufeff{\"services\": {}}": true,
		`{"port": 1}`: true, `{"api_call_intervals": 1}`: true, `{"log_level": 1, "service": {}}`: true,
		`{"port": 1, "jobs": {}}`: false, `{"log_level": "INFO", "sinks": {}}`: false,
		`{"services": {}, "jobs": {}}`: false, `{"jobs": {}}`: false, `["services"]`: false, `services`: false, `{}`: false,
	} {
		doc, err := config.Parse("config.json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if legacy.Is(doc) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
}

// TestHostile checks that hostile files are translated, or give a problem, in a short time.
func TestHostile(t *testing.T) {
	service := func(more string) string {
		return `{"port": 1, "api_call_intervals": 60, "services": {"s": {"service_class": "SplunkApi", "api_url": "http://a.example", "prometheus_metrics_mapping": {"gauge": ["x"]}` + more + `}}}`
	}
	for name, c := range map[string]struct{ text, want string }{
		"plain":         {service(""), ""},
		"tabs":          {strings.ReplaceAll(service(""), " ", "\n\t"), ""},
		"byte order":    {"\ufeff" + service(""), ""},
		"comma":         {service(","), ""},
		"surrogates":    {service(`, "a": "\ud83d\ude00 \\ud83d\\ude00"`), ""},
		"a half of one": {service(`, "a": "\ud83d"`), "invalid Unicode character escape"},
		"nesting":       {service(`, "a": ` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), ""},
		"more nesting":  {service(`, "a": ` + strings.Repeat("[", 100_000)), "max depth"},
		"numbers":       {service(`, "a": [1e999, 123456789012345678901234567890, -0]`), ""},
		"twice":         {service(`, "a": {"b": 1, "b": 2}`), `"b" is set twice`},
		"a long word":   {service(`, "` + strings.Repeat("k", 100_000) + `": 1`), ""},
		"interval":      {strings.Replace(service(""), "60", "1e300", 1), "schedule"},
		"no interval":   {strings.Replace(service(""), "60", "1e999", 1), "want a number of seconds, such as 60"},
		"bomb":          {`{"a": &a [1], "services": {"s": {"x": [*a, *a]}}}`, "aliases are not supported"},
		"two of them":   {service("") + service(""), "not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := config.Parse("config.json", []byte(c.text))
			var plan *config.Plan
			if err == nil {
				old := legacy.Translate(doc, legacy.Options{Catalogue: catalogue(), Files: &setting.SecretStore{Dir: t.TempDir()}})
				if plan, err = old.Plan(); err == nil {
					same(t, old, plan, "config.json")
				}
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want … %s …", err, c.want)
			}
		})
	}
}

// FuzzTranslate checks what any old file gives: either problems at lines of the file, or a plan that stays the same after conversion.
func FuzzTranslate(f *testing.F) {
	f.Add(seed)
	for _, text := range stories(f) {
		f.Add(text)
	}
	files := folder(f)
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := config.Parse("config.json", []byte(text))
		if err != nil || !legacy.Is(doc) {
			t.Skip("none")
		}
		old := legacy.Translate(doc, legacy.Options{Catalogue: catalogue(), Files: files})
		plan, err := old.Plan()
		if err == nil {
			same(t, old, plan, text)
			return
		}
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || len(problems) == 0 || plan != nil {
			t.Fatalf("got %T %v and a plan %v", err, err, plan)
		}
		if i := slices.IndexFunc(problems, func(p config.Problem) bool { return p.Line < 1 || strings.ContainsAny(p.Brief(), "\n\r") }); i >= 0 {
			t.Errorf("a problem of more than one line, or nowhere: %q", problems[i].Brief())
		}
		if strings.Contains(err.Error(), "hunter2") && !strings.Contains(text, "hunter2") {
			t.Errorf("a secret is shown: %v", err)
		}
	})
}
