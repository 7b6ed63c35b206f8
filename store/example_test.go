package store_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/store"
	"dmcow/store/device"
)

// A store is made in a file, and an exception is written: what the origin's chunk 7 held.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cow")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		log.Fatal(err)
	}
	d, err := device.OpenWritable(path)
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()

	g, err := format.NewGeometry(8) // sectors in a chunk
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Initialize(d, g, nil); err != nil {
		log.Fatal(err)
	}
	s, err := store.Open(d, store.Options{Table: true})
	if err != nil {
		log.Fatal(err)
	}
	p, err := s.PrepareException(7)
	if err != nil {
		log.Fatal(err)
	}
	data := bytes.Repeat([]byte("as it was. "), 400)[:g.ChunkBytes()]
	if _, err := d.WriteAt(data, int64(g.Offset(p.New))); err != nil {
		log.Fatal(err)
	}
	s.CommitException(p, true, func(err error) { fmt.Println("durable, unless:", err) })
	fmt.Println("the kernel would say:", s.Status())
	// Output:
	// durable, unless: <nil>
	// the kernel would say: 24/2048 16
}
