package snapshot

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// sound is a store of 20 exceptions, with chunks of a sector; its origin has 256.
const (
	sound        = "device 200\nheader chunk=1\nfill 20\ndata 9"
	originLength = 256 * 512
)

// rig is a directory with files, and a session that looks at them.
type rig struct {
	*testing.T
	*Session
}

// newRig goes to a new directory, with a sound store in "cow" and its origin in "origin".
func newRig(t *testing.T, where ...string) rig {
	t.Helper()
	t.Chdir(t.TempDir())
	r := rig{t, Open(Options{Where: where})}
	t.Cleanup(r.Session.Close)
	r.store("cow", sound)
	r.file("origin", make([]byte, originLength))
	return r
}

func (r rig) store(name, spec string) { r.file(name, storespec.MustCompile(r.T, spec)) }

func (r rig) file(name string, content []byte) {
	r.Helper()
	devicetest.WriteFile(r, name, content)
}

func (r rig) read(name string) []byte {
	r.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		r.Fatal(err)
	}
	return content
}

// memory is a device in memory, by its path.
func (r rig) memory(content []byte) string {
	r.Helper()
	fd, err := unix.MemfdCreate("device", 0)
	if err != nil {
		r.Skip("no files in memory: ", err)
	}
	f := os.NewFile(uintptr(fd), "device")
	r.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		r.Fatal(err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// of names the snapshot of the two files.
func of(cow string) ViewRequest {
	return ViewRequest{Request: Request{COW: cow}, Origin: "origin"}
}

// asRefusal is the refusal that an error is, nil where it is none.
func asRefusal(err error) (r *Refusal) {
	errors.As(err, &r)
	return r
}

// wanted is a refusal as it should be.
type wanted struct {
	code   Code
	device string
	words  string // that stand in its text
	deeds  []Deed
}

// refused wants an error to be a refusal.
func (r rig) refused(err error, w wanted) {
	r.Helper()
	var got *Refusal
	if !errors.As(err, &got) {
		r.Fatalf("%v is no refusal, expected one with %q", err, w.words)
	}
	var deeds []Deed
	for _, x := range got.Remedies {
		deeds = append(deeds, x.Do)
	}
	if got.Code != w.code || got.Device != w.device || !strings.Contains(got.Err.Error(), w.words) || !slices.Equal(deeds, w.deeds) {
		r.Errorf("refused with code %d, device %s, %q, remedies %v; expected %+v", got.Code, got.Device, got.Err, deeds, w)
	}
}
