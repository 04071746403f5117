package infer

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/document"
)

func TestScratch(t *testing.T) {
	text, err := os.ReadFile(os.Getenv("SCRATCH"))
	if err != nil {
		t.Skip()
	}
	u, _ := url.Parse(os.Getenv("SCRATCH_URL"))
	f, err := Sniff("", text)
	if err != nil {
		t.Fatal(err)
	}
	root, err := f.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	r := Request{URL: u, Format: f, Limits: Limits{Every: time.Minute, Why: "x"}}
	for _, p := range WaysToPages(u, nil, "", root) {
		fmt.Printf("PAGES %+v\n", p)
	}
	d := New(r, time.Now(), []document.Value{root}...)
	for _, n := range d.Seen() {
		fmt.Println(n)
	}
	fmt.Println(string(d.YAML()))
}
