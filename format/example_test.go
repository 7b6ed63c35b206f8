package format_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"os"

	"dmcow/format"
)

// An image is read: its header, and the list of its exceptions.
func Example() {
	image, err := unpack("../testdata/kernel/odd-origin.cow.gz")
	if err != nil {
		log.Fatal(err)
	}
	head := make([]byte, format.HeaderSize)
	if _, err := image.ReadAt(head, 0); err != nil {
		log.Fatal(err)
	}
	h := format.DecodeHeader(head)
	g, err := format.NewGeometry(h.ChunkSectors)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sectors in a chunk:", h.ChunkSectors)
	walk := format.Walk{Device: image, Size: format.Bytes(image.Size()), Geometry: g}
	end, err := format.Each(walk, nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			if at.Area == 0 && at.Index < 3 {
				fmt.Printf("area %d slot %d: origin's chunk %d is kept at byte %d\n", at.Area, at.Index, x.Old, g.Offset(x.New))
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("exceptions:", end.Exceptions)
	// Output:
	// sectors in a chunk: 8
	// area 0 slot 0: origin's chunk 279 is kept at byte 8192
	// area 0 slot 1: origin's chunk 287 is kept at byte 12288
	// area 0 slot 2: origin's chunk 503 is kept at byte 16384
	// exceptions: 100
}

// unpack is the content of a file that is packed with gzip.
func unpack(path string) (*bytes.Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(z)
	return bytes.NewReader(content), err
}
