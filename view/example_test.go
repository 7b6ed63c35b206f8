package view_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"dmcow/store/device"
	"dmcow/view"
)

// One chunk of a snapshot is read: from the COW device, where the origin has changed since.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	open := func(name string) *device.Device {
		d, err := unpack("../testdata/kernel/"+name+".gz", filepath.Join(dir, name))
		if err != nil {
			log.Fatal(err)
		}
		return d
	}
	cow, origin := open("odd-origin.cow"), open("odd-origin.origin")
	defer cow.Close()
	defer origin.Close()

	v, err := view.Open(view.Options{COW: cow, Origin: origin})
	if err != nil {
		log.Fatal(err)
	}
	const chunk, size = 20, 4096 // an exception has it
	was, is := make([]byte, size), make([]byte, size)
	if _, err := v.ReadAt(was, chunk*size); err != nil {
		log.Fatal(err)
	}
	if _, err := origin.ReadAt(is, chunk*size); err != nil {
		log.Fatal(err)
	}
	fmt.Println("chunks that differ:", v.Changes().Chunks())
	fmt.Println("chunk 20 is on the origin as it was:", bytes.Equal(was, is))
	// Output:
	// chunks that differ: 100
	// chunk 20 is on the origin as it was: false
}

// unpack opens what is packed with gzip.
func unpack(packed, path string) (*device.Device, error) {
	f, err := os.Open(packed)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(z)
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return device.Open(path)
}
