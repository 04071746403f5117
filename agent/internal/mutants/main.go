// Mutants measures whether the tests notice faults. It makes random mutations of the core of the program, such as < instead
// of <=, or a removed statement. For each mutation it runs the tests of the mutated package, and then those of the packages
// that use it. If no test fails, the mutation has survived: either it makes no difference, or a test is missing.
//
// The source tree is not changed, because mutations are passed to go test by -overlay. The same seed and the same source give the same
// mutations. Run it in the root of the repository: go run ./agent/internal/mutants, or make mutants.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// target is a part of the program that is mutated. The field "files" has glob patterns. The field "users" has packages whose tests are
// run if the tests of the mutated package pass.
type target struct {
	name  string
	files []string
	users []string
}

// targets returns the parts that are mutated. Change this list when files are moved.
func targets() []target {
	return []target{
		{"ledger", []string{"agent/internal/ledger/*.go"}, []string{"./agent/internal/run", "./agent"}},
		{"jq", []string{"sources/compute/jq/*.go"}, []string{"./agent/internal/command", "./agent"}},
		{"schedule", []string{"agent/internal/schedule/*.go"}, []string{"./agent/internal/run"}},
		{"window", []string{"agent/internal/run/window.go"}, []string{"./agent/internal/command"}},
		{"spool", []string{"sinks/remotewrite/spool/*.go"}, []string{"./sinks/remotewrite"}},
		{"delivery", []string{
			"sinks/remotewrite/deliver/deliver.go", "sinks/remotewrite/deliver/search.go", "sinks/remotewrite/deliver/chunk.go",
			"sinks/remotewrite/deliver/join.go", "sinks/remotewrite/deliver/backoff.go", "sinks/remotewrite/deliver/client.go",
		}, []string{"./sinks/remotewrite", "./agent"}},
		{"negotiation", []string{"sinks/remotewrite/deliver/negotiation.go", "sinks/remotewrite/deliver/receiver.go"}, []string{"./sinks/remotewrite", "./agent"}},
		{"state", []string{"agent/internal/state/*.go"}, []string{"./agent/internal/run"}},
	}
}

func main() {
	n := flag.Int("n", 100, "number of mutations that compile")
	skip := flag.Int("skip", 0, "number of mutations of the draw to skip: the lines that an interrupted run has printed")
	seed := flag.Uint64("seed", 1, "seed of the draw")
	only := flag.String("only", "", "name of the only target to mutate")
	timeout := flag.Duration("timeout", 3*time.Minute, "time limit of the tests of one package")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *n, *skip, *seed, *only, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run makes mutations, tests n of them that compile, and prints the results.
func run(ctx context.Context, n, skip int, seed uint64, only string, timeout time.Duration) error {
	chosen := targets()
	if only != "" {
		chosen = slices.DeleteFunc(chosen, func(t target) bool { return t.name != only })
	}
	drawn, err := draw(chosen, seed, skip)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := tester{dir: dir, timeout: timeout}
	counts := map[result]int{}
	var survivors []string
	for _, c := range drawn {
		if counts[killed]+counts[survived] == n {
			break
		}
		got, by, err := t.test(ctx, &c)
		if err != nil {
			return err
		}
		counts[got]++
		line := fmt.Sprintf("%-16s %s:%d  %s", got, c.file, c.line, c.mutation.String())
		fmt.Printf("%s  %s\n", line, by)
		if got == survived {
			survivors = append(survivors, line)
		}
	}
	fmt.Printf("\n%d killed, %d survived, %d did not compile\n", counts[killed], counts[survived], counts[notCompiled])
	for _, line := range survivors {
		fmt.Println(line)
	}
	return nil
}

// candidate is a mutation and the target that it belongs to.
type candidate struct {
	*target
	mutation
}

// draw returns mutations of the targets in random order, alternating between the targets. There is at most one mutation for each line of
// source code. The argument "skip" is the number of mutations that are left out at the beginning, whether they compile or not.
func draw(chosen []target, seed uint64, skip int) ([]candidate, error) {
	if len(chosen) == 0 {
		return nil, errors.New("no such target; see targets in main.go")
	}
	lists := make([][]candidate, len(chosen))
	for i := range chosen {
		t := &chosen[i]
		for _, pattern := range t.files {
			files, err := filepath.Glob(pattern)
			files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
			if err != nil || len(files) == 0 {
				return nil, fmt.Errorf("target %s: no Go file matches %s; correct targets in main.go, and run it in the root of the repository", t.name, pattern)
			}
			for _, file := range files {
				all, err := mutationsOf(file)
				if err != nil {
					return nil, err
				}
				for _, m := range all {
					lists[i] = append(lists[i], candidate{t, m})
				}
			}
		}
		dice := rand.New(rand.NewPCG(seed, uint64(len(t.name))))
		dice.Shuffle(len(lists[i]), func(a, b int) { lists[i][a], lists[i][b] = lists[i][b], lists[i][a] })
	}
	var drawn []candidate
	used := map[string]bool{}
	for round := 0; slices.ContainsFunc(lists, func(l []candidate) bool { return round < len(l) }); round++ {
		for _, list := range lists {
			if round >= len(list) {
				continue
			}
			place := fmt.Sprintf("%s:%d", list[round].file, list[round].line)
			if !used[place] {
				used[place] = true
				drawn = append(drawn, list[round])
			}
		}
	}
	if skip < 0 || skip >= len(drawn) {
		return nil, fmt.Errorf("-skip is %d, but must be at least 0 and less than %d, the number of mutations", skip, len(drawn))
	}
	return drawn[skip:], nil
}

// result is the result of testing a mutation.
type result string

const (
	killed      result = "killed"
	survived    result = "survived"
	notCompiled result = "did not compile"
)

// tester runs tests on mutations.
type tester struct {
	dir     string // has the mutated file and the overlay file
	timeout time.Duration
	passed  []string // packages whose tests pass without mutations
}

// test runs the tests of the mutated package, and then those of its users. The result "by" is the package whose tests have failed.
func (t *tester) test(ctx context.Context, c *candidate) (got result, by string, err error) {
	overlay, err := t.overlay(&c.mutation)
	if err != nil {
		return "", "", err
	}
	for _, pkg := range append([]string{"./" + filepath.ToSlash(filepath.Dir(c.file))}, c.users...) {
		if !slices.Contains(t.passed, pkg) {
			if out, err := t.goTest(ctx, pkg, ""); err != nil {
				return "", "", fmt.Errorf("the tests of %s fail without a mutation: %w\n%s", pkg, err, out)
			}
			t.passed = append(t.passed, pkg)
		}
		out, err := t.goTest(ctx, pkg, overlay)
		switch {
		case ctx.Err() != nil:
			return "", "", ctx.Err()
		case err == nil:
		case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
			return notCompiled, "", nil
		case bytes.Contains(out, []byte("panic: test timed out")):
			return killed, "by the time limit of " + pkg, nil
		default:
			return killed, "by " + pkg, nil
		}
	}
	return survived, "", nil
}

// overlay writes the mutated file. It returns the name of the file to pass to -overlay.
func (t *tester) overlay(m *mutation) (string, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	original, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	mutated, overlay := filepath.Join(t.dir, "mutated.go"), filepath.Join(t.dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(mutated, m.apply(source), 0o644), os.WriteFile(overlay, text, 0o644))
}

// bounded runs a test in a shell that bounds its memory to 8 GiB: a mutated loop perhaps never ends.
const bounded = `sh -c 'ulimit -v 8388608; exec "$0" "$@"'`

// goTest runs the tests of a package and returns their output. They stop at the first failure.
func (t *tester) goTest(ctx context.Context, pkg, overlay string) ([]byte, error) {
	args := []string{"test", "-failfast", "-short", "-timeout", t.timeout.String(), "-exec", bounded}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	return exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput()
}
