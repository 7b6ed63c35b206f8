package sample

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestComparisons(t *testing.T) {
	if !Within(1, 2) || Within(2, 2) || !AtMost(1, 2) || AtMost(3, 2) || !Over(2, 1) || Over(1, 2) || !Same(io.EOF, io.EOF) || !Shift(3, 6) {
		t.Fail()
	}
}

func TestNumbers(t *testing.T) {
	m := map[string]int{"a": 5}
	Down(m)
	if Count(3) != 3 || m["a"] != 4 || Turn(2) != -2 || Area(3, 4)/2 != 6 || Share(3) != 4 {
		t.Fail()
	}
}

func TestBooleans(t *testing.T) {
	if Both(true, false, false) || !Both(true, true, true) {
		t.Fail()
	}
}

func TestNote(t *testing.T) {
	var all []int
	Note(&all, 1)
	if len(all) != 1 || Name("c") != "abc" {
		t.Fail()
	}
}

// TestChild kills its mutant in another process, with another environment.
func TestChild(t *testing.T) {
	if len(os.Args) > 1 && os.Args[1] == "-test.run=^TestChild$/child" {
		if !InChild(1) {
			t.Fail()
		}
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := filepath.Join(t.TempDir(), "program")
	if err := os.Link(program, child); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(child, "-test.run=^TestChild$/child")
	command.Env = []string{"A=B"}
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
}
