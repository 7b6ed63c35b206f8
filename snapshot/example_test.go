package snapshot_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"dmcow/snapshot"
)

// files makes an image as it was, and one as it is now, and returns a directory with both.
func files() (dir string) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	was := bytes.Repeat([]byte("before. "), 8192)
	now := bytes.Clone(was)
	copy(now[20000:], "after.")
	for name, content := range map[string][]byte{"was": was, "now": now} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			log.Fatal(err)
		}
	}
	return dir
}

// A store is made of two images, and read; its snapshot is merged back with an undo log.
func Example() {
	dir := files()
	defer os.RemoveAll(dir)
	cow, origin := filepath.Join(dir, "cow"), filepath.Join(dir, "now")
	s := snapshot.Open(snapshot.Options{})
	defer s.Close()

	c, err := s.PlanCreate(snapshot.CreateRequest{Request: snapshot.Request{COW: cow, ChunkSectors: 8}, Base: origin, Image: filepath.Join(dir, "was")})
	if err != nil {
		log.Fatal(err)
	}
	err = c.Do()
	c.Close()
	if err != nil {
		log.Fatal(err)
	}

	m, err := s.PlanMerge(snapshot.MergeRequest{Request: snapshot.Request{COW: cow}, Into: origin, Undo: filepath.Join(dir, "undo")})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	fmt.Println("chunks to merge:", m.Chunks)
	if _, err := m.Do(); err != nil {
		log.Fatal(err)
	}
	now, err := os.ReadFile(origin)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", now[20000:20006])
	// Output:
	// chunks to merge: 1
	// before
}

// What is refused says why, and of which device.
func ExampleRefusal() {
	dir := files()
	defer os.RemoveAll(dir)
	s := snapshot.Open(snapshot.Options{})
	defer s.Close()
	_, err := s.PlanMerge(snapshot.MergeRequest{
		Request: snapshot.Request{COW: filepath.Join(dir, "was")}, Into: filepath.Join(dir, "now"),
	})
	var r *snapshot.Refusal
	if errors.As(err, &r) {
		fmt.Println(filepath.Base(r.Device), r.Code == snapshot.Foreign)
		fmt.Println(r.Err)
	}
	// Output:
	// was true
	// not a COW store: the magic is 0x6f666562, not 0x70416e53 (SnAp)
}
