package agent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// otherClients returns the places where a file sends HTTP requests without agent/httpclient, or reads a response's body without a limit.
func otherClients(fset *token.FileSet, f *ast.File) []string {
	name := importName(f, "net/http")
	if name == "" {
		return nil
	}
	var found []string
	note := func(n ast.Node, what string) {
		found = append(found, fset.Position(n.Pos()).String()+": "+what)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			if !ok || pkg.Name != name {
				return true
			}
			switch n.Sel.Name {
			case "Client", "Transport", "DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm":
				note(n, "http."+n.Sel.Name)
			}
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "ReadAll" && fun.Sel.Name != "Copy" && fun.Sel.Name != "NewDecoder" {
				return true
			}
			for _, arg := range n.Args {
				if body, ok := arg.(*ast.SelectorExpr); ok && body.Sel.Name == "Body" && !isRequest(body.X) {
					note(n, "a body without a limit")
				}
			}
		}
		return true
	})
	return found
}

// isRequest reports whether an expression has one of the names that are used for the request in an HTTP server.
func isRequest(x ast.Expr) bool {
	name, ok := x.(*ast.Ident)
	return ok && slices.Contains([]string{"r", "req", "request"}, name.Name)
}

// importName returns the name by which a file imports a package, or "" if the file does not import the package.
func importName(f *ast.File, path string) string {
	for _, i := range f.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p != path {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// TestOneHTTPClient checks that only agent/httpclient makes HTTP clients, so that every body is bounded and every error is
// explained.
func TestOneHTTPClient(t *testing.T) {
	fset, files := parseSources(t)
	inHTTPClient := 0
	for name, f := range files {
		found := otherClients(fset, f)
		switch {
		case strings.HasPrefix(name, "../agent/httpclient/"):
			inHTTPClient += len(found)
			continue
		case strings.HasPrefix(name, "../deploy/compare/"): // no part of the program
			continue
		}
		for _, place := range found {
			t.Errorf("%s: use agent/httpclient", place)
		}
	}
	if inHTTPClient == 0 {
		t.Error("no client is found in agent/httpclient: does the test still see one?")
	}
}

// TestOtherClients checks what TestOneHTTPClient refuses.
func TestOtherClients(t *testing.T) {
	for text, want := range map[string]int{
		`import "net/http"; var _ = http.Client{}`:                                         1,
		`import "net/http"; func f() { http.Get("x") }`:                                    1,
		`import web "net/http"; func f(r *web.Response) { web.DefaultClient.Do(nil) }`:     1,
		`import ("io"; "net/http"); func f(resp *http.Response) { io.ReadAll(resp.Body) }`: 1,
		`import ("io"; "net/http"); func f(r *http.Request) { io.ReadAll(r.Body) }`:        0,
		`import "net/http"; func f(*http.Request) { _ = http.MethodGet }`:                  0,
		`import http "other/http"; var _ = http.Client{}`:                                  0,
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "x.go", "package x; "+text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if found := otherClients(fset, f); len(found) != want {
			t.Errorf("%s: found %v, want %d", text, found, want)
		}
	}
}
