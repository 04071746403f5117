package agent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The size budget of files and functions, in lines. It is checked here so that nobody has to argue about it.
const (
	maxFileLines = 600
	maxFuncLines = 60
)

func sourceFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	fset, files := parseSources(t)
	for name, f := range files {
		checkSizes(t, fset, name, f)
	}
	return files
}

// parseSources parses all source files but tests, by path.
func parseSources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	files, fset := map[string]*ast.File{}, token.NewFileSet()
	root := ".."
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "bin", "dist"}, d.Name())) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files[name] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 30 {
		t.Fatalf("only %d files found", len(files))
	}
	return fset, files
}

func checkSizes(t *testing.T, fset *token.FileSet, name string, f *ast.File) {
	lines := func(n ast.Node) int { return fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1 }
	if n := fset.Position(f.FileEnd).Line; n > maxFileLines {
		t.Errorf("%s has %d lines, more than %d", name, n, maxFileLines)
	}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && lines(fn) > maxFuncLines {
			t.Errorf("%s: %s has %d lines, more than %d", name, fn.Name, lines(fn), maxFuncLines)
		}
	}
}

// TestBudget checks the sizes of files and functions. It also checks that no package has an init function or a variable that changes.
func TestBudget(t *testing.T) {
	vars := map[string]map[string]bool{} // by folder
	files := sourceFiles(t)
	for name, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s has an init", name)
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					note(vars, filepath.Dir(name), d)
				}
			}
		}
	}
	for name, f := range files {
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				checkAssignments(t, name, fn, vars[filepath.Dir(name)])
			}
		}
	}
}

func note(vars map[string]map[string]bool, folder string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		for _, id := range spec.(*ast.ValueSpec).Names {
			if vars[folder] == nil {
				vars[folder] = map[string]bool{}
			}
			vars[folder][id.Name] = true
		}
	}
}

func checkAssignments(t *testing.T, name string, fn *ast.FuncDecl, vars map[string]bool) {
	local := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Field:
			for _, id := range x.Names {
				local[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range x.Names {
				local[id.Name] = true
			}
		case *ast.AssignStmt:
			for _, left := range x.Lhs {
				id, ok := left.(*ast.Ident)
				if ok && x.Tok == token.DEFINE {
					local[id.Name] = true
				} else if ok && vars[id.Name] && !local[id.Name] {
					t.Errorf("%s: %s changes the package variable %s", name, fn.Name, id.Name)
				}
			}
		}
		return true
	})
}
