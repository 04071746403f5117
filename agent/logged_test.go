package agent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogged checks that testdata/logged.txt has every warning and error that the program logs, and no other message. Each message is a
// line. The line below it starts with a tab and says what the reader of the message should do.
func TestLogged(t *testing.T) {
	text, err := os.ReadFile("testdata/logged.txt")
	if err != nil {
		t.Fatal(err)
	}
	remedies := map[string]string{}
	message := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		remedy, indented := strings.CutPrefix(line, "\t")
		switch {
		case strings.HasPrefix(line, "#") || line == "":
		case indented:
			remedies[message] += remedy
		default:
			if _, twice := remedies[line]; twice {
				t.Errorf("listed twice: %s", line)
			}
			message, remedies[line] = line, ""
		}
	}
	logged := map[string]string{}
	for _, root := range []string{".", "../sinks", "../sources"} {
		collectLogged(t, root, logged)
	}
	for _, message := range slices.Sorted(maps.Keys(logged)) {
		if remedies[message] == "" {
			t.Errorf("%s logs %q: add it to testdata/logged.txt, with what to do about it", logged[message], message)
		}
	}
	for _, message := range slices.Sorted(maps.Keys(remedies)) {
		if logged[message] == "" {
			t.Errorf("nothing logs %q: remove it from testdata/logged.txt", message)
		}
	}
}

// collectLogged adds the messages that the program's files below a folder log as warnings and errors, with their places.
func collectLogged(t *testing.T, root string, logged map[string]string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "sinktest") ||
			strings.Contains(path, "sourcetest") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Warn", "Error", "failed", "warn", "logProblems"}, f.Sel.Name) {
				if message := literal(call.Args[0]); message != "" {
					logged[message] = files.Position(call.Pos()).String()
				}
			} else if ok && f.Sel.Name == "note" && len(call.Args) > 3 { // of run's report
				if message := literal(call.Args[3]); message != "" {
					logged[message] = files.Position(call.Pos()).String()
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// literal returns a message with "…" in place of the parts that are not constant. It returns "" if no part is constant.
func literal(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		left, right := literal(x.X), literal(x.Y)
		if left+right == "" {
			return ""
		}
		if left == "" {
			left = "…"
		}
		if right == "" {
			right = "…"
		}
		return left + right
	}
	return ""
}
