package starlark

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/collectington/collectington/agent/text"
)

// maxScript bounds a script, in bytes.
const maxScript = 1 << 20

// program is a script that has been compiled.
type program struct {
	file    string // as the settings say, for messages
	version string // of its text
	code    *starlark.Program
}

func readProgram(dir, file string) (*program, error) {
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("script.file: there is no %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("script.file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxScript+1))
	if err != nil {
		return nil, fmt.Errorf("script.file: %w", err)
	}
	if len(text) > maxScript {
		return nil, fmt.Errorf("script.file: %s is larger than 1MiB", path)
	}
	return compile(file, string(text))
}

// compile makes a program of a text. Its errors name file, line and column and show the line.
func compile(file, text string) (*program, error) {
	// Reassignment at the top level is refused, since each name there is one thing for all ticks; recursion is, too.
	options := &syntax.FileOptions{Set: true, While: true, TopLevelControl: true}
	tree, err := options.Parse(file, text, 0)
	if err != nil {
		return nil, compileError(text, err)
	}
	var loads error
	syntax.Walk(tree, func(n syntax.Node) bool {
		if l, ok := n.(*syntax.LoadStmt); ok && loads == nil {
			loads = syntax.Error{Pos: l.Load, Msg: "a script stands alone: load is not possible"}
		}
		return true
	})
	if loads != nil {
		return nil, compileError(text, loads)
	}
	guardOperators(tree)
	code, err := starlark.FileProgram(tree, func(name string) bool { return predeclaredNames()[name] })
	if err != nil {
		return nil, compileError(text, err)
	}
	sum := sha256.Sum256([]byte(text))
	return &program{file: file, version: hex.EncodeToString(sum[:]), code: code}, nil
}

// compileError is the first of what the compiler has found, with the line it stands in.
func compileError(script string, err error) error {
	var pos syntax.Position
	var message string
	if list, ok := errors.AsType[resolve.ErrorList](err); ok && len(list) > 0 {
		pos, message = list[0].Pos, list[0].Msg
	} else if e, ok := errors.AsType[syntax.Error](err); ok {
		pos, message = e.Pos, e.Msg
	} else {
		return err
	}
	lines := strings.Split(script, "\n")
	if n := int(pos.Line); n >= 1 && n <= len(lines) {
		if line := strings.TrimSpace(lines[n-1]); line != "" {
			message += fmt.Sprintf(", in: %.120s", line)
		}
	}
	return fmt.Errorf("%s: %s", pos, text.Cut(text.OneLine(message), maxMessage))
}

// fault is an error of a running script in one line: where, in which function, and what.
func (s *source) fault(err error) error {
	e, ok := errors.AsType[*starlark.EvalError](err)
	if !ok {
		return err
	}
	// The innermost frame that is in the script; those below it are built-in functions.
	for i := range e.CallStack {
		frame := e.CallStack.At(i)
		if frame.Pos.Filename() == "<builtin>" || frame.Pos.Filename() == "" {
			continue
		}
		message := s.ofNone(strings.TrimPrefix(s.clip(e.Msg, maxMessage), "Starlark computation cancelled: "))
		if frame.Name == "<toplevel>" {
			return &failure{fmt.Sprintf("%s: %s", frame.Pos, message), err}
		}
		return &failure{fmt.Sprintf("%s: %s: %s", frame.Pos, frame.Name, message), err}
	}
	return &failure{s.clip(e.Msg, maxMessage), err}
}

// ofNone says of a message about None what has no member, which is why most of them come.
func (s *source) ofNone(message string) string {
	index := strings.HasPrefix(message, "unhandled index operation NoneType[")
	attribute, ok := strings.CutPrefix(message, "NoneType has no .")
	switch {
	case index:
		message = "what stands before [ is None"
	case ok:
		attribute, _, _ = strings.Cut(attribute, " ")
		message = "what stands before ." + attribute + " is None"
	default:
		return message
	}
	if s.readData != nil {
		return message + " (did read_data return nothing?)"
	}
	return message
}

// failure is a script's error in our words. What is under it tells of its cause.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }
