package agent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestErrors checks that testdata/errors.txt has the text of every error that the program makes, by package, and no other. Whoever adds
// an error adds its line with -update, and reads it as somebody who does not know the code: does it say what failed, where, why, and
// what to do? An error needs no remedy if it only wraps another error, or if it cannot happen.
func TestErrors(t *testing.T) {
	const file = "testdata/errors.txt"
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var got strings.Builder
	got.WriteString("# The text of every error that the program makes, by package. TestErrors holds that none is missing, and says how to read it.\n")
	for _, p := range errorTexts(t, ".", "../sinks", "../sources") {
		got.WriteString("\n# " + p.name + "\n" + strings.Join(p.texts, "\n") + "\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
		t.Errorf("run go test ./agent -run TestErrors -update, and read what it adds (- listed, + in the code):\n%s", diff)
	}
}

// errorPackage has the texts of the errors of one package.
type errorPackage struct {
	name  string
	texts []string
}

// errorTexts returns the texts of the errors that the packages below some folders make.
func errorTexts(t *testing.T, roots ...string) (all []errorPackage) {
	t.Helper()
	packages := map[string][]*ast.File{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(filepath.Join("agent", path))), "../")
			if strings.HasSuffix(name, "test") || strings.Contains(name, "fake") || strings.Contains(name, "test/") || strings.HasSuffix(name, "memnet") || strings.HasSuffix(name, "mutants") {
				return nil // only tests use it
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			packages[name] = append(packages[name], parsed)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, files := range packages {
		p := errorPackage{name: name}
		constants := constantTexts(files)
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					p.texts = append(p.texts, errorText(call, constants)...)
				}
				return true
			})
		}
		slices.Sort(p.texts)
		if p.texts = slices.Compact(p.texts); len(p.texts) > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b errorPackage) int { return strings.Compare(a.name, b.name) })
	return all
}

// errorText returns the possible texts of the error that a call makes, or nil if the call makes no error. It knows fmt.Errorf, errors.New
// and setting.Errorf, and the names of the helper functions with which packages shorten such calls.
func errorText(call *ast.CallExpr, constants map[string]string) (texts []string) {
	name, of := "", ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok {
			of = x.Name
		}
	}
	short := []string{"Errorf", "Bad", "bad", "badf", "only", "onlyIf", "missing", "unknown", "refuse", "fail", "invalid", "problem", "add", "lost"}
	if of+"."+name != "errors.New" && (!slices.Contains(short, name) || of == "t" || of == "b") {
		return nil
	}
	for _, arg := range call.Args {
		text := literal(arg)
		if x, ok := arg.(*ast.Ident); ok && text == "" {
			text = constants[x.Name]
		}
		if strings.Contains(text, " ") {
			texts = append(texts, strconv.Quote(text))
		}
	}
	return texts
}

// constantTexts returns the texts of the constants in a package.
func constantTexts(files []*ast.File) map[string]string {
	all := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == len(spec.Values) {
				for i, name := range spec.Names {
					all[name.Name] = literal(spec.Values[i])
				}
			}
			return true
		})
	}
	return all
}
