package main

import (
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed peers
var peerFiles embed.FS

// program is a program with one configuration.
type program struct {
	name  string
	files map[string]string // files in the working directory: the name, and the path of the template below peers/
	argv  []string          // arguments, each a template
	page  string            // path of the program's page of metrics, for the workload page
	setup map[string]string // values for .Set in the templates
}

// place is the data for the templates of a program.
type place struct {
	Work, Config            string // working directory, and the configuration file in it
	Records, Metrics, Write string // URLs of the API, the exporter and the receiver
	MetricsHost             string
	N, Interval             int // number of records, and seconds between rounds
	Port                    string
	Shape                   string
	Set                     map[string]string // program.setup
}

// programs returns the programs on this machine that can do a kind of work. These are cton, an earlier build of cton if there is one, and
// other programs (peers). The path of a peer comes from an environment variable, else from PATH, else from the files that the end-to-end
// tests have unpacked.
func programs(kind string, cton, before string) (list []program) {
	add := func(name, path, config string, argv []string, setup map[string]string) {
		if path == "" {
			return
		}
		file := filepath.Base(config)
		for i, arg := range argv {
			argv[i] = strings.ReplaceAll(arg, "CONFIG", "{{.Work}}/"+file)
		}
		list = append(list, program{name: name, files: map[string]string{file: config}, argv: append([]string{path}, argv...), page: "/metrics", setup: setup})
	}
	for _, own := range []struct{ name, path string }{{"cton", cton}, {"cton before", before}} {
		switch kind {
		case "once":
			add(own.name, own.path, "peers/cton-api.yaml", []string{"once", "-c", "CONFIG"}, nil)
		case "scrape":
			add(own.name, own.path, "peers/cton-scrape.yaml", []string{"run", "-c", "CONFIG"}, nil)
		case "scrape-disk":
			add(own.name, own.path, "peers/cton-scrape.yaml", []string{"run", "-c", "CONFIG"}, map[string]string{"Spool": "yes"})
		case "page":
			add(own.name, own.path, "peers/cton-api.yaml", []string{"run", "-c", "CONFIG"}, map[string]string{"Output": "page"})
		default:
			add(own.name, own.path, "peers/cton-api.yaml", []string{"run", "-c", "CONFIG"}, nil)
		}
	}
	telegraf, vmagent, prometheus := find("TELEGRAF_BIN", "telegraf"), find("VMAGENT_BIN", "vmagent"), find("PROMETHEUS_BIN", "prometheus")
	switch kind {
	case "api":
		add("Telegraf", telegraf, "peers/telegraf.conf", []string{"--config", "CONFIG"}, map[string]string{"Input": "api", "Output": "write"})
	case "page":
		add("Telegraf", telegraf, "peers/telegraf.conf", []string{"--config", "CONFIG"}, map[string]string{"Input": "api", "Output": "page"})
	case "once":
		add("Telegraf", telegraf, "peers/telegraf.conf", []string{"--config", "CONFIG", "--once"}, map[string]string{"Input": "api", "Output": "write"})
	case "scrape", "scrape-disk":
		add("vmagent", vmagent, "peers/vmagent.yaml", []string{
			"-promscrape.config=CONFIG", "-remoteWrite.url={{.Write}}", "-remoteWrite.tmpDataPath={{.Work}}/data",
			"-httpListenAddr=127.0.0.1:{{.Port}}",
		}, nil)
		add("Prometheus agent", prometheus, "peers/prometheus.yaml", []string{
			"--enable-feature=agent", "--config.file=CONFIG", "--storage.agent.path={{.Work}}/data", "--log.level=warn",
			"--web.listen-address=127.0.0.1:{{.Port}}",
		}, nil)
		add("Telegraf", telegraf, "peers/telegraf.conf", []string{"--config", "CONFIG"}, map[string]string{"Input": "scrape", "Output": "write"})
	}
	return list
}

// find returns the path of a peer, or "" if it is not on this machine.
func find(variable, name string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	unpacked, _ := filepath.Glob("bin/debian/*/usr/bin/" + name)
	for _, path := range unpacked {
		if absolute, err := filepath.Abs(path); err == nil {
			return absolute
		}
	}
	return ""
}

// prepare writes the files of a program to its working directory and returns its command line.
func (p program) prepare(at place) (argv []string, err error) {
	at.Set = p.setup
	for name, source := range p.files {
		text, err := peerFiles.ReadFile(source)
		if err != nil {
			return nil, err
		}
		filled, err := fill(string(text), at)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(at.Work, name), []byte(filled), 0o600); err != nil {
			return nil, err
		}
	}
	for _, arg := range p.argv {
		filled, err := fill(arg, at)
		if err != nil {
			return nil, err
		}
		argv = append(argv, filled)
	}
	return argv, nil
}

// fill executes a template.
func fill(text string, at place) (string, error) {
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, at)
	return b.String(), err
}
