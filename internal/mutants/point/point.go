// Package point is what instrumented code asks at the points where a mutant would change it. Each mutant has a
// number from 1 on; at most one of them is alive in a process, the one that the control file names. Where there
// is no control file, none is.
//
// Only instrumented code imports this package: no file of the project does.
package point

import (
	"cmp"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
)

// The control file is the nearest one of this name in the directories that the program lies in: a command that a
// test runs is a link to the test's program, in a directory of its own below TMPDIR. It begins with the number of
// the mutant that is alive, in four bytes, and one more that is not zero where the points are traced. Then it has
// a byte for each mutant, from Head on.
const (
	Control = "mutant.control"
	Tracing = 4
	Head    = 8
)

// What a trace says of a mutant.
const (
	Reached   = 1 // the code was run, and the mutant would have changed nothing
	Different = 2 // the mutant would have had another value
)

// A mutant that allocates without end must not take the machine's memory.
const most = 4 << 30

var (
	alive uint32
	seen  []byte // the trace: in the file itself, so that it outlives whatever ends the process
)

func init() {
	path := find()
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}
	control, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	alive = binary.LittleEndian.Uint32(control)
	if control[Tracing] != 0 {
		seen = control[Head:]
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		panic(err)
	}
}

func find() string {
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	for dir := filepath.Dir(program); ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, Control)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// mark traces a mutant.
func mark(n uint32, different bool) {
	i := n - 1
	if different {
		seen[i] = Different
	} else if seen[i] == 0 {
		seen[i] = Reached
	}
}

// At reports whether the mutant is alive.
func At(n uint32) bool {
	if seen != nil {
		mark(n, true)
	}
	return alive == n
}

// Less is a < b. Mutant n has <=, and the next one >=.
func Less[T cmp.Ordered](n uint32, a, b T) bool {
	if alive-n > 1 && seen == nil {
		return a < b
	}
	return choose(n, a < b, a <= b)
}

// LessOrEqual is a <= b. Mutant n has <, and the next one >.
func LessOrEqual[T cmp.Ordered](n uint32, a, b T) bool {
	if alive-n > 1 && seen == nil {
		return a <= b
	}
	return choose(n, a <= b, a < b)
}

// Greater is a > b. Mutant n has >=, and the next one <=.
func Greater[T cmp.Ordered](n uint32, a, b T) bool { return Less(n, b, a) }

// GreaterOrEqual is a >= b. Mutant n has >, and the next one <.
func GreaterOrEqual[T cmp.Ordered](n uint32, a, b T) bool { return LessOrEqual(n, b, a) }

//go:noinline
func choose(n uint32, is, boundary bool) bool {
	if seen != nil {
		mark(n, is != boundary)
		mark(n+1, true)
	}
	switch alive {
	case n:
		return boundary
	case n + 1:
		return !is
	}
	return is
}

type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

type number interface {
	integer | ~float32 | ~float64
}

// Add is a + b. The mutant has -.
func Add[T number](n uint32, a, b T) T {
	if alive == n {
		return a - b
	}
	if seen != nil {
		mark(n, a+b != a-b)
	}
	return a + b
}

// Subtract is a - b. The mutant has +.
func Subtract[T number](n uint32, a, b T) T {
	if alive == n {
		return a + b
	}
	if seen != nil {
		mark(n, a+b != a-b)
	}
	return a - b
}

// Multiply is a * b. The mutant has /.
func Multiply[T number](n uint32, a, b T) T {
	if alive == n {
		return a / b
	}
	if seen != nil {
		mark(n, b == 0 || a*b != a/b)
	}
	return a * b
}

// Divide is a / b. The mutant has *.
func Divide[T number](n uint32, a, b T) T {
	if alive == n {
		return a * b
	}
	if seen != nil {
		mark(n, b == 0 || a*b != a/b)
	}
	return a / b
}

// Remainder is a % b. The mutant has *.
func Remainder[T integer](n uint32, a, b T) T {
	if alive == n {
		return a * b
	}
	if seen != nil {
		mark(n, b == 0 || a%b != a*b)
	}
	return a % b
}

// Negative is -a. The mutant has a.
func Negative[T number](n uint32, a T) T {
	if seen != nil {
		mark(n, a != -a)
	}
	if alive == n {
		return a
	}
	return -a
}

// Increment is a + 1, for a++. The mutant has a - 1.
func Increment[T number](n uint32, a T) T { return a + step[T](n) }

// Decrement is a - 1, for a--. The mutant has a + 1.
func Decrement[T number](n uint32, a T) T { return a - step[T](n) }

func step[T number](n uint32) T {
	var one T = 1
	if At(n) {
		return -one
	}
	return one
}
