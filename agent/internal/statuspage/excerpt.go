package statuspage

import (
	"context"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

// Limits of an excerpt.
const (
	maxNodes    = 250
	maxDepth    = 8
	maxMembers  = 12  // members of one object or list
	maxNodeText = 120 // bytes of one text
)

// excerpt is the beginning of a document, and where the document comes from.
type excerpt struct {
	from string
	root Node
}

// Node is a value of a document.
type Node struct {
	Key   string `json:"key,omitempty"`   // the key, if the value is a member of an object
	Text  string `json:"text,omitempty"`  // a simple value, cut to 120 bytes; for an object or list, the number of members
	Nodes []Node `json:"nodes,omitempty"` // the first members of an object or a list
	More  int    `json:"more,omitempty"`  // how many members are left out
}

// Fetcher returns a fetcher that keeps an excerpt of the last document, while a client views the page of the job.
func (h *History) Fetcher(job string, f sources.Fetcher) sources.Fetcher { return &watched{f, h, job} }

type watched struct {
	sources.Fetcher
	history *History
	job     string
}

// Unwrap returns the wrapped fetcher.
func (w *watched) Unwrap() sources.Fetcher { return w.Fetcher }

// Fetch implements sources.Fetcher.
func (w *watched) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	d, err := w.Fetcher.Fetch(ctx, tick, r)
	if err == nil && d != nil && w.history.lookedAt(w.job) {
		w.keep(d)
	}
	return d, err
}

// keep stores an excerpt of a document.
func (w *watched) keep(d *sources.Document) {
	left := maxNodes
	e := &excerpt{from: text.Cut(d.From, maxText), root: nodeOf("", d.Root, 0, &left)}
	w.history.mu.Lock()
	w.history.job(w.job).doc = e
	w.history.mu.Unlock()
}

// nodeOf returns the node of a value. The argument "left" points to the number of nodes that may still be added to the excerpt. nodeOf
// reduces this number.
func nodeOf(key string, v document.Value, depth int, left *int) Node {
	*left--
	n := Node{Key: text.Cut(text.OneLine(key), maxNodeText)}
	switch v.Kind() {
	case document.Object:
		n.More = members(v)
		n.Text = "{" + text.Count(n.More, "member") + "}"
		v.Members(func(key string, v document.Value) bool { return n.add(key, v, depth, left) })
	case document.Array:
		n.More = v.Len()
		n.Text = "[" + text.Count(n.More, "item") + "]"
		v.Items(func(v document.Value) bool { return n.add("", v, depth, left) })
	case document.String:
		n.Text = `"` + text.Cut(text.OneLine(firstBytes(v.Text())), maxNodeText) + `"`
		return n
	default:
		n.Text = text.Cut(v.Raw(), maxNodeText)
		return n
	}
	n.More -= len(n.Nodes)
	return n
}

// add adds a member. It returns false, and adds nothing, if a limit of the excerpt is reached.
func (n *Node) add(key string, v document.Value, depth int, left *int) bool {
	if *left <= 0 || depth >= maxDepth || len(n.Nodes) >= maxMembers {
		return false
	}
	n.Nodes = append(n.Nodes, nodeOf(key, v, depth+1, left))
	return true
}

// firstBytes returns the beginning of a text, so that the rest of a long text need not be processed. The beginning is somewhat longer than
// what is shown.
func firstBytes(s string) string { return text.Cut(s, 4*maxNodeText) }

// members returns how many members an object has.
func members(v document.Value) (n int) {
	for range v.Members {
		n++
	}
	return n
}
