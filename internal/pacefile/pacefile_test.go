package pacefile

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dmcow/internal/pace"
)

func mustOpen(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTwoAtOnce: of many runs at once, none loses what another has read.
func TestTwoAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var all sync.WaitGroup
	const runs = 40
	for i := range runs {
		all.Go(func() {
			f, err := Open(path, time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			f.Add(string(rune('a'+i)), uint64(i), 5, false)
			if err := f.Keep(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f := mustOpen(t, path)
	defer f.Close()
	if len(f.Stores) != runs {
		t.Errorf("%d stores, expected %d", len(f.Stores), runs)
	}
	if _, err := Open(path, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	names, _ := os.ReadDir(filepath.Dir(path))
	if len(names) != 1 {
		t.Errorf("%d files are left", len(names))
	}
}

// TestAnew: what is of another clock, or damaged, is begun anew; what is not dmcow's is not touched.
func TestAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path)
	f.Add("one", 1, 2, false)
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	future, _ := json.Marshal(content{version, f.boot, f.Stores})
	for _, c := range []struct {
		name, text, anew string
		stores           int
		err              string
	}{
		{"as it was", string(own), "", 1, ""},
		{"cut off", string(own[:len(own)-9]), "it is damaged", 0, ""},
		{"cut off in its first word", string(own[:5]), "it is damaged", 0, ""},
		{"another boot", strings.Replace(string(own), f.boot, "another", 1), "the machine was started since", 0, ""},
		{"another version", strings.Replace(string(own), `"dmcow_state":1`, `"dmcow_state":2`, 1), "", 0, "version"},
		{"foreign", "a letter", "", 0, ErrForeign.Error()},
		{"readings that are to come", strings.Replace(string(future), "[[", "[["+"9", 1), "", 0, ""},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path, 0)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, expected %s", c.name, err, c.err)
			}
			if got, _ := os.ReadFile(path); string(got) != c.text {
				t.Errorf("%s: written over", c.name)
			}
			continue
		}
		if err != nil || f.Anew != c.anew || len(f.Stores) != c.stores {
			t.Errorf("%s: %v, %+v", c.name, err, f)
			continue
		}
		if err := f.Keep(); err != nil {
			t.Error(err)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v", c.name, info.Mode())
		}
	}
}

// TestLeftBehind: what a killed run has left goes, also where it leads elsewhere, and who owns the readings keeps them.
func TestLeftBehind(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "state"), filepath.Join(t.TempDir(), "victim")
	f := mustOpen(t, path)
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	before := stat(t, path)
	if err := os.WriteFile(victim, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, ".state.new")); err != nil {
		t.Fatal(err)
	}
	f.Add("one", 1, 2, false)
	if err := f.Keep(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(victim); string(got) != "other" {
		t.Errorf("another file holds %q", got)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left", len(left))
	}
	if after := stat(t, path); after.Uid != before.Uid || after.Gid != before.Gid || after.Ino == before.Ino {
		t.Errorf("was %+v, is %+v", before, after)
	}
}

func stat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestCannot: what cannot hold readings.
func TestCannot(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none", "state"), os.DevNull} {
		if _, err := Open(path, 0); err == nil || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"dmcow_state":1,"boot":"b","stores":{"x":[[1,2,3,0]]}}`))
	f.Add([]byte(`{"dmcow_state":1,"boot":"b","stores":{"x":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		x := File{Stores: map[string]*pace.History{}, boot: "b", now: time.Hour}
		if x.read(text) == nil {
			for _, h := range x.Stores {
				h.Forecast()
			}
		}
	})
}
