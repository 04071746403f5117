package sandbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// generous are limits that no test reaches by accident.
func generous() Limits { return Limits{Steps: 100_000_000, Memory: 1 << 40} }

// call runs the body of a function and returns its result or the message of its error.
func call(ctx context.Context, limits Limits, body string) string {
	env := Predeclared()
	code, err := Compile("x", "def f():\n    "+strings.ReplaceAll(body, "\n", "\n    ")+"\nresult = f()\n", env.Has)
	if err != nil {
		return err.Error()
	}
	var globals starlark.StringDict
	thread := &starlark.Thread{Print: func(*starlark.Thread, string) {}}
	err = limits.Run(ctx, thread, func(thread *starlark.Thread) (err error) {
		globals, err = code.Init(thread, env)
		return err
	})
	if e, ok := errors.AsType[*starlark.EvalError](err); ok {
		message, cancelled := Reason(e)
		if cancelled {
			return "cancelled: " + message
		}
		return message
	}
	if err != nil {
		return err.Error()
	}
	return globals["result"].String()
}

// TestOperationsAreBounded checks both sides of each bound: what is just small enough, and what is refused.
func TestOperationsAreBounded(t *testing.T) {
	for body, want := range map[string]string{
		"return len('x' * (64 << 20))":                                                    "67108864",
		"return len('x' * ((64 << 20) + 1))":                                              "the string would exceed 64 MiB",
		"return len(((64 << 20) + 1) * b'x')":                                             "the string would exceed 64 MiB",
		"return len('x' * (1 << 70))":                                                     "the string would exceed 64 MiB",
		"return len('' * (1 << 70))":                                                      "0",
		"return len([0] * (4 << 20))":                                                     "4194304",
		"return len([0] * ((4 << 20) + 1))":                                               "the list would exceed 4194304 items",
		"return 'x' * -1":                                                                 `""`,
		"x = 3\nfor i in range(16): x = x * x\nreturn x * 2":                              "the numbers are too large to multiply",
		"x = 3\nfor i in range(16): x = x * x\nreturn 2 * x":                              "the numbers are too large to multiply",
		"x = 3\nfor i in range(16): x = x * x\nx *= 2":                                    "the numbers are too large to multiply",
		"return len(('a' * (16 << 20)).split('a'))":                                       "split: the list would exceed 4194304 items",
		"return len(('a' * (16 << 20)).rsplit('a'))":                                      "rsplit: the list would exceed 4194304 items",
		"return len(('\\n' * (16 << 20)).splitlines())":                                   "splitlines: the list would exceed 4194304 items",
		"return len((' ' * (16 << 20)).split())":                                          "split: the list would exceed 4194304 items",
		"return len(('a' * (16 << 20)).split('a', 3))":                                    "4",
		"return len('a b  c'.split())":                                                    "3",
		"return 'abc'.replace('b', 'x' * 10)":                                             `"axxxxxxxxxxc"`,
		"return ''.join(['a', 1])":                                                        "join: in list, want string, got int",
		"return ''.join(1)":                                                               "join: for parameter 1: got int, want iterable",
		"return 'a'.replace('b')":                                                         "replace: got 1 arguments, want at least 2",
		"l = [0] * 1000\nfor i in range(19): l.extend(l)":                                 "extend: the list would exceed 4194304 items",
		"l = [1]\nl.extend([2, 3])\nl.extend((4,))\nreturn l":                             "[1, 2, 3, 4]",
		"return len(range(10000000))":                                                     "10000000",
		"return len(range(10000001))":                                                     "range: has more than 10000000 numbers",
		"return json.decode('[' * 5000000)":                                               "json.decode: is nested more than 1000 levels deep",
		"return json.decode('[' * 1001 + ']' * 1001)":                                     "json.decode: is nested more than 1000 levels deep",
		"return json.decode('[\"' + '[' * 2000 + '\\\\\"[\"]') and 1":                     "1",
		"return len(str(json.decode('[' * 1000 + ']' * 1000)))":                           "2000",
		"return len(json.decode('[' + '0,' * 4000000 + '0]'))":                            "4000001",
		"return len(json.decode('[' + '0,' * 5000000 + '0]'))":                            "json.decode: the text has more than 4194304 values",
		"return json.decode('7' * 4097)":                                                  "json.decode: the number has more than 4096 digits",
		"return json.decode('7' * 4096) > 1":                                              "True",
		"return int('7' * 4097)":                                                          "int: the number has more than 4096 digits",
		"return json.indent('[' * 1000 + '0,' * 100000 + '0' + ']' * 1000)":               "json.indent: the string would exceed 64 MiB",
		"return len(json.indent('[1]'))":                                                  "6",
		"return len(json.encode_indent([list(range(1000))] * 100, indent = 'x' * 10000))": "json.encode_indent: the string would exceed 64 MiB",
		"return len(list(range(4 << 20)))":                                                "4194304",
		"return len(list(range((4 << 20) + 1)))":                                          "list: the list would exceed 4194304 items",
		"return len(tuple(('a' * ((4 << 20) + 1)).elems()))":                              "tuple: the list would exceed 4194304 items",
		"return len(list(('a' * ((4 << 20) + 1)).codepoints()))":                          "list: the list would exceed 4194304 items",
		"return len(zip(*[range(10000000)] * 100))":                                       "zip: the list would exceed 4194304 items",
		"return len(zip(range(10000000), range(3)))":                                      "3",
		"return len(enumerate(range(10000000)))":                                          "enumerate: the list would exceed 4194304 items",
		"return reversed([1, 2]) + list([3])":                                             "[2, 1, 3]",
		"return list(3)":                                                                  "list: for parameter 1: got int, want iterable",
		"return [list(), tuple(), zip(), dict(a = 1), dict([(1, 2)])]":                    "[[], (), [], {\"a\": 1}, {1: 2}]",
		"return json.decode(1)":                                                           "json.decode: for parameter x: got int, want string",
		"s = 'x' * (40 << 20)\nreturn json.encode([s, s])":                                "json.encode: the string would exceed 64 MiB",
		"s = 'x' * (40 << 20)\nreturn json.encode_indent([s,s])":                          "json.encode_indent: the string would exceed 64 MiB",
		"s = 'x' * (40 << 20)\nreturn len('%s%s' % (s, s))":                               "the string would exceed 64 MiB",
		"s = 'x' * (40 << 20)\nreturn len('{a}{a}'.format(a=s))":                          "format: the string would exceed 64 MiB",
		"s = 'x' * (40 << 20)\ns %= ()\nreturn len(s)":                                    "41943040",
		"f = '%s'\nf %= ('a',)\nreturn f":                                                 `"a"`,
		"f = '%s-%s'\nf %= ('a', 1)\nreturn f":                                            `"a-1"`,
		"f = '%(a)s'\nf %= {'a': 1}\nreturn f":                                            `"1"`,
		"f = ['%s-%s']\nf[0] %= ('a', 1)\nreturn f":                                       `["a-1"]`,
		"f = ['%(a)s']\nf[0] %= {'a': 1}\nreturn f":                                       "%= with a dict needs a variable on its left side",
		"f = ['%s%s']\ns = 'x' * (40 << 20)\nf[0] %= (s, s)":                              "the string would exceed 64 MiB",
		"f = [2]\nf[0] *= 'ab'\nreturn f":                                                 `["abab"]`,
		"f = ['ab']\nf[0] *= 1 << 40":                                                     "the string would exceed 64 MiB",
		"s = 'x' * 1000000\nreturn len(('%(a)s' * 1000) % {'a': s})":                      "the string would exceed 64 MiB",
		"s = 'x' * 1000000\nf = '%(a)s' * 1000\nf %= {'a': s}":                            "the string would exceed 64 MiB",
		"return len(('%(a)s' * 1000) % {'a': 'x' * 1000})":                                "1000000",
		"x = []\nfor i in range(2000): x = [x]\nreturn str(x)":                            "str: is nested more than 1000 levels deep",
		"x = [1]\nfor i in range(60): x = [x, x]\nreturn repr(x)":                         "repr: the string would exceed 64 MiB",
		"return max(2, 3) + min([2, 1]) + sorted([3, 2])[0]":                              "6",
		"return sorted([3, 2], key = lambda x: -x, reverse = True)":                       "[2, 3]",
		"return '·'": `"·"`,
	} {
		if got := call(t.Context(), generous(), body); got != want {
			t.Errorf("%s: got %.200s, want %s", body, got, want)
		}
	}
}

// TestScriptsCannotReachTheChecks checks that no script can contain the name of a check. Otherwise a script could replace the
// check.
func TestScriptsCannotReachTheChecks(t *testing.T) {
	for _, name := range []string{operandName, rightOperandName, formatName, addendName, comparandName} {
		if got := call(t.Context(), generous(), "return "+name+"(1)"); !strings.Contains(got, "unexpected input character") {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for body, want := range map[string]string{
		"return f()":                    "function f called recursively",
		"load('other.star', 'x')":       "x:2:5: load is not supported: a script is a single file",
		"return open('/etc/passwd')":    "x:2:12: undefined: open",
		"return (":                      "x:3:9: got '=', want ')'",
		"while True:\n    return set()": "set([])",
	} {
		if got := call(t.Context(), generous(), body); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestRunEnds(t *testing.T) {
	few := generous()
	few.Steps = 1000
	if got := call(t.Context(), few, "while True: pass"); got != "cancelled: exceeded 1000 steps: is it an endless loop?" {
		t.Errorf("steps: got %s", got)
	}
	little := generous()
	little.Memory = 32 << 20
	if got := call(t.Context(), little, "s = []\nfor i in range(10000000): s.append(str(i) + 'a long string')"); got != "cancelled: exceeded max_memory (32 MiB): keep less data at once, or raise max_memory" {
		t.Errorf("memory: got %s", got)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("timed out"))
	defer cancel()
	if got := call(ctx, generous(), "while True: pass"); got != "cancelled: timed out" {
		t.Errorf("time: got %s", got)
	}
}

// TestMemoryCountsWhatIsHeld checks that a script may allocate more than its memory limit in total, if it does not hold all of it
// at the same time.
func TestMemoryCountsWhatIsHeld(t *testing.T) {
	little := generous()
	little.Memory = 32 << 20
	if got := call(t.Context(), little, "n = 0\nfor i in range(300): n += len('x' * 1000000)\nreturn n"); got != "300000000" {
		t.Errorf("got %s", got)
	}
}

func TestSize(t *testing.T) {
	shared := starlark.NewList([]starlark.Value{starlark.String(strings.Repeat("x", 100))})
	twice := starlark.NewList([]starlark.Value{shared, shared})
	one, err := Size(shared, 1000)
	if err != nil || one < 100 || one > 150 {
		t.Errorf("of one list: %d, %v", one, err)
	}
	if two, err := Size(twice, 1000); err != nil || two < 2*one {
		t.Errorf("of a list that is there twice: %d, %v; want at least twice %d", two, err, one)
	}
	if _, err := Size(twice, 2*100); !errors.Is(err, ErrString) {
		t.Errorf("of more than max: got %v", err)
	}
	big := starlark.MakeInt(1).Lsh(4000)
	if n, err := Size(big, 10_000); err != nil || n < len(big.String()) {
		t.Errorf("of an int of %d digits: %d, %v", len(big.String()), n, err)
	}
	if got := Preview(twice, 50); got != "a large list" {
		t.Errorf("preview: got %s", got)
	}
	if got := Preview(starlark.MakeInt(5), 50); got != "5" {
		t.Errorf("preview: got %s", got)
	}
}

// TestGuardedOperatorsMeanTheSame checks that random expressions have the same results with the checks as in Starlark without the checks.
func TestGuardedOperatorsMeanTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	of := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	var expr func(depth int) string
	expr = func(depth int) string {
		if depth == 0 {
			return of("0", "1", "3", "-2", "2.5", `"a"`, `"%s-%s"`, `"{}"`, `""`, `b"xy"`, "[1, 2]", "[]", "(1, [2])", "()", `{"a": 1}`, "None", "True", "x", "y")
		}
		sub := func() string { return expr(random.IntN(depth)) }
		switch random.IntN(9) {
		case 0, 1, 2:
			return "(" + sub() + of(" + ", " * ", " % ", " | ") + sub() + ")"
		case 3, 4:
			return "(" + sub() + of(" == ", " != ", " < ", " >= ", " in ", " not in ") + sub() + ")"
		case 5:
			return "(" + sub() + ")" + of(".join", ".replace", ".format", ".split", ".index", ".count") + "(" + of("", sub(), sub()+", "+sub()) + ")"
		case 6:
			return of("str", "repr", "sorted", "min", "max", "len") + "(" + of(sub(), sub()+", "+sub()) + ")"
		case 7:
			return "[" + sub() + ", " + sub() + "]"
		}
		return "(" + sub() + " if " + sub() + " else " + sub() + ")"
	}
	const assign = "\nx += 1 if type(x) == 'int' else x\nx %= y\ny *= 2\n"
	for range 5000 {
		script := "x = 5\ny = [1]\nresult = " + expr(4)
		if random.IntN(4) == 0 {
			script = "def f(x, y):\n    " + strings.ReplaceAll(strings.TrimSpace(assign), "\n", "\n    ") + "\n    return " + expr(3) + "\nresult = f(" + expr(1) + ", " + expr(1) + ")"
		}
		eval := func(code *starlark.Program, err error, env starlark.StringDict) string {
			if err != nil {
				return err.Error()
			}
			globals, err := code.Init(&starlark.Thread{}, env)
			if err != nil {
				return err.Error()
			}
			return globals["result"].String()
		}
		env := Predeclared()
		code, err := Compile("x", script, env.Has)
		got := eval(code, err, env)
		_, code, err = starlark.SourceProgramOptions(&syntax.FileOptions{Set: true}, "x", script, func(string) bool { return false })
		if want := eval(code, err, nil); got != want {
			t.Fatalf("%s\nis  %s\nwas %s", script, got, want)
		}
	}
}
