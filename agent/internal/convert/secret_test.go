package convert_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/convert"
)

const marker = "hunter2-M4rk3r"

// secrets returns configurations of each tool with a secret in every place that can hold one.
func secrets() map[string]string {
	all := map[string]string{
		"json_exporter": `modules:
  default:
    headers: {Authorization: "Bearer M", X-Api-Key: M, Cookie: "a=M", X-Custom: M}
    body: {content: '{"user": "u", "password": "M"}', templatize: true}
    http_client_config:
      basic_auth: {username: u, password: M}
      proxy_url: "http://u:M@proxy.example"
      tls_config: {key: M, ca: M, cert: M, insecure_skip_verify: true}
      http_headers: {X: {secrets: [M]}}
      proxy_connect_header: {Authorization: [M]}
    unknown_key: M
    metrics:
    - {name: a, path: '{.a}', unknown: M, epochTimestamp: '{.M}'}
    - {name: b, path: '{.a}', labels: {page: "https://u:M@a.example/"}}
`,
		"json_exporter auth": `modules:
  a: {http_client_config: {bearer_token: M}, metrics: [{name: a, path: '{.a}'}]}
  b: {http_client_config: {authorization: {type: "Token M1M2M3M4M5M6M7M8M9", credentials: M}}, metrics: [{name: b, path: '{.a}'}]}
  c: {http_client_config: {oauth2: {client_id: i, client_secret: M, token_url: "https://u:M@t.example/?key=M", endpoint_params: {client_password: M}}}, metrics: [{name: c, path: '{.a}'}]}
  d: {http_client_config: {oauth2: {client_id: i, client_secret: M, token_url: "https://t.example/", endpoint_params: {client_password: M}}}, metrics: [{name: d, path: '{.a}'}]}
`,
		"Prometheus": `global: {query_log_file: M, unknown: M, external_labels: {page: "https://u:M@a.example/", login: "https://a.example/?token=M"}}
scrape_configs:
- job_name: a
  params: {token: [M], module: [x]}
  basic_auth: {username: u, password: M}
  http_headers: {X: {secrets: [M]}}
  static_configs: [{targets: ["a.example:1", "http://u:M@b.example/x", "c.example/x?token=M"]}]
- job_name: b
  authorization: {credentials: M}
  static_configs: [{targets: ["b.example:1"]}]
- job_name: c
  bearer_token: M
  consul_sd_configs: [{server: x, token: M, password: M}]
  static_configs: [{targets: ["c.example:1"]}]
- job_name: d
  kubernetes_sd_configs: [{bearer_token: M}]
remote_write:
- {url: "https://u:M@store.example/write", name: one, headers: {Authorization: M}}
- {url: "https://store.example/write?token=M", name: two}
- {url: "https://store.example/a", sigv4: {region: r, access_key: M, secret_key: M}}
- {url: "https://store.example/b", azuread: {oauth: {client_secret: M}}, google_iam: {credentials_file: x}}
alerting: {alertmanagers: [{basic_auth: {password: M}}]}
remote_read: [{url: "https://u:M@x.example/"}]
`,
		"Prometheus labels": `scrape_configs:
- job_name: a
  metrics_path: /probe
  relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__address__], target_label: instance}
  - {target_label: __address__, replacement: bb.example}
  static_configs: [{targets: ["https://u:M@a.example/", "https://b.example/?token=M"], labels: {page: "https://u:M@c.example"}}]
- job_name: b
  relabel_configs:
  - {target_label: __param_token, replacement: M}
  - {target_label: __metrics_path__, replacement: "/x?token=M"}
  metric_relabel_configs: [{target_label: url, replacement: "https://u:M@d.example/"}]
  static_configs: [{targets: ["b.example:1"], labels: {page: "https://u:M@c.example"}}]
`,
		"sql_exporter": `target: {data_source_name: "postgres://u:M@db.example/x?password=M", collectors: [a], name: one}
jobs:
- {job_name: j, collectors: [a], static_configs: [{labels: {page: "https://u:M@a.example/"}, targets: {two: "mysql://u:M@tcp(h:3306)/d", three: "sqlserver://u:M@h/d", four: "M"}}]}
collectors:
- collector_name: a
  metrics:
  - {metric_name: a, type: gauge, values: [v], query: "SELECT 1 AS v", unknown: M, static_labels: {page: "https://u:M@a.example/"}}
  - {metric_name: b, type: gauge, values: [v], query: "SELECT v FROM dblink('host=x password=M')"}
unknown: M
`,
		"script_exporter": `scripts:
- {name: a, command: curl, args: ["-H", "Authorization: Bearer M", "https://x.example"]}
- {name: b, script: "check --password M"}
- {name: c, script: "check --token=M"}
- {name: d, script: check, env: {API_KEY: M, OTHER: M}}
basicAuth: {enabled: true, username: u, password: M}
bearerAuth: {signingKey: M}
`,
		"Telegraf": `[global_tags]
  page = "https://u:M@x.example/"
[agent]
  interval = "10s"
  unknown = "M"
[[inputs.http]]
  urls = ["http://u:M@a.example/x", "http://a.example/y?api_key=M", "https://a.example/z"]
  username = "u"
  password = "M"
  body = '{"token": "M"}'
  headers = {"Authorization" = "Token M", "X-Auth" = "M", "X-Custom" = "M"}
  cookie_auth_body = "M"
  http_proxy_url = "http://u:M@proxy.example"
  data_format = "value"
[[inputs.http]]
  urls = ["https://b.example/"]
  token = "M"
  client_secret = "M"
  unknown = "M"
  data_format = "value"
[[inputs.http]]
  urls = ["https://c.example/"]
  client_id = "i"
  client_secret = "M"
  token_url = "https://t.example/"
  data_format = "value"
[[inputs.exec]]
  commands = ["curl -H 'X-Api-Key: M' https://x.example", "x --password=M", "x --secret M", "curl -u u:M x.example", "curl --user=u:M x", "sh -c 'curl https://u:M@x.example'", "true"]
  environment = ["PASSWORD=M", "OTHER=M"]
  data_format = "value"
[[inputs.file]]
  files = ["/x"]
  data_format = "influx"
  [inputs.file.tags]
    page = "https://u:M@x.example/"
[[inputs.sql]]
  driver = "pgx"
  dsn = "postgres://u:M@h/d"
  [[inputs.sql.query]]
    query = "SELECT 1 AS n"
    field_columns_include = ["n"]
[[inputs.mqtt_consumer]]
  password = "M"
[[processors.starlark]]
  source = "M"
[[outputs.influxdb_v2]]
  token = "M"
[[outputs.http]]
  url = "https://u:M@store.example/w"
  data_format = "prometheusremotewrite"
  [outputs.http.headers]
    Authorization = "M"
[[outputs.prometheus_client]]
  basic_password = "M"
`,
	}
	for name, text := range all {
		all[name] = strings.NewReplacer(`"M1M2M3M4M5M6M7M8M9"`, `"M"`, "M1M2M3M4M5M6M7M8M9", marker, "M@", marker+"@", `"M"`, `"`+marker+`"`, "=M", "="+marker, ": M", ": "+marker,
			" M", " "+marker, ":M ", ":"+marker+" ", "[M", "["+marker, ".M}", "."+marker+"}").Replace(text)
	}
	return all
}

// TestSecretsAreNotCopied checks that no secret of a file is in the result, in a comment or in an error.
func TestSecretsAreNotCopied(t *testing.T) {
	for name, text := range secrets() {
		t.Run(name, func(t *testing.T) {
			if strings.Count(text, marker) < 4 {
				t.Fatalf("the case has no secrets:\n%s", text)
			}
			o := convert.Options{Catalogue: agent.Catalogue(), Files: convert.Files{Dir: t.TempDir()}}
			result, err := convert.Convert([]convert.File{{Name: "x", Text: []byte(text)}}, o)
			if err != nil {
				t.Fatal(err)
			}
			if result.Jobs == 0 || result.Lost == 0 {
				t.Errorf("%d jobs, %d settings without a counterpart in\n%s", result.Jobs, result.Lost, result.YAML)
			}
			if strings.Contains(string(result.YAML), marker) {
				t.Errorf("a secret is copied:\n%s", result.YAML)
			}
			// A file that is cut off anywhere gives an error or a result, and neither contains a secret.
			for end := 0; end < len(text); end += 37 {
				part, err := convert.Convert([]convert.File{{Name: "x", Text: []byte(text[:end])}}, o)
				if strings.Contains(string(part.YAML), marker) || err != nil && strings.Contains(err.Error(), marker) {
					t.Fatalf("a secret is shown: %v\n%s\nof\n%s", err, part.YAML, text[:end])
				}
			}
		})
	}
}

// FuzzConvert checks that any file gives an error in one line, or a configuration that passes the check.
func FuzzConvert(f *testing.F) {
	for _, text := range secrets() {
		f.Add(text)
	}
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		for _, c := range load(f, name).configs {
			f.Add(string(c.Text))
		}
	}
	for _, text := range []string{
		"modules: {a: &a {metrics: [{name: x, path: '{.a}'}]}, b: *a}", "a: &a [x, x]\nb: &b [*a, *a]\nmodules: {x: {metrics: [{name: x, path: *b}]}}",
		"metrics: [{name: x, path: '{..}'}, {name: x, path: '{[?(@.x}'}, {name: y, path: '{[0,]}'}, {name: z, path: '{.a[1:2:3]}'}]",
		"[[inputs.http]]\nurls = [[[[1]]]]\ndata_format='json_v2'\n[[inputs.http.json_v2]]\n[[inputs.http.json_v2.field]]\npath='#(a==\"'\n",
		"scrape_configs: [{job_name: x, static_configs: [{targets: [a, a, 'a:b:c']}], relabel_configs: [{action: hashmod}]}]",
	} {
		f.Add(text)
	}
	o := convert.Options{Catalogue: agent.Catalogue(), Files: convert.Files{Dir: f.TempDir()}}
	f.Fuzz(func(t *testing.T, text string) {
		result, err := convert.Convert([]convert.File{{Name: "x", Text: []byte(text)}}, o)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		if result.Jobs > 0 {
			valid(t, result.YAML)
		}
	})
}

// FuzzProbes checks that a module of json_exporter can be converted together with hostile configurations of the Prometheus that scrapes
// it: there is no panic, and the result passes the check.
func FuzzProbes(f *testing.F) {
	for _, name := range []string{"testdata/json_exporter-targets.txtar", "testdata/prometheus-blackbox.txtar"} {
		for _, c := range load(f, name).configs {
			f.Add(string(c.Text))
		}
	}
	module := convert.File{Name: "json", Text: []byte("modules: {kiln: {metrics: [{name: kiln, path: '{.heat}', labels: {hall: '{.hall}'}}]}, http_2xx: {metrics: [{name: up, path: '{.a}'}]}}")}
	o := convert.Options{Catalogue: agent.Catalogue(), Files: convert.Files{Dir: f.TempDir()}}
	f.Fuzz(func(t *testing.T, text string) {
		result, err := convert.Convert([]convert.File{module, {Name: "prom", Text: []byte(text)}}, o)
		if err == nil && result.Jobs > 0 { // a configuration without jobs is not valid
			valid(t, result.YAML)
		}
	})
}
