package kernellab

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// Pattern is test data for count sectors from the sector first on. Each holds
// its own number and a version, two little-endian 64-bit words, 32 times over:
// a sector in the wrong place or of the wrong age can be told, and an image of
// them compresses well.
func Pattern(first, count, version uint64) []byte {
	b := make([]byte, 0, count*SectorSize)
	for s := first; s < first+count; s++ {
		for range SectorSize / 16 {
			b = binary.LittleEndian.AppendUint64(b, s)
			b = binary.LittleEndian.AppendUint64(b, version)
		}
	}
	return b
}

// WritePattern writes the pattern of the version to the given chunks of the
// device at path, each of chunk sectors, one after the other and past the page
// cache, so that the driver sees one write a chunk in this order. A last chunk
// that the device's end cuts short is written as far as it goes. It returns how
// many chunks the kernel would not write.
func WritePattern(path string, chunk uint64, chunks []uint64, version uint64) (failed int, err error) {
	f, err := openDirect(path, os.O_RDWR)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	direct := alignedBuffer(chunk * SectorSize)
	for _, c := range chunks {
		n := min(chunk, uint64(size)/SectorSize-c*chunk)
		data := direct[:copy(direct, Pattern(c*chunk, n, version))]
		if _, err := f.WriteAt(data, int64(c*chunk)*SectorSize); err != nil {
			failed++
		}
	}
	return failed, nil
}

// Read calls use with the content of the device or file at path, a piece at a
// time. It reads past the page cache, as device-mapper writes past it. The
// piece is only good until use returns.
func Read(path string, use func(piece []byte)) error {
	f, err := openDirect(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	// To touch new memory takes the lab longer than to read it full.
	const page = 4096
	direct := alignedBuffer(min(1<<20, (uint64(size)/page+1)*page))
	for {
		n, err := f.Read(direct)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		use(direct[:n])
	}
}

// MustRead is all of the device or file at path, read past the page cache.
func MustRead(t testing.TB, path string) (all []byte) {
	t.Helper()
	if err := Read(path, func(piece []byte) { all = append(all, piece...) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Digest is the SHA-256 of the device or file at path, in hexadecimal.
func Digest(path string) (string, error) {
	h := sha256.New()
	if err := Read(path, func(piece []byte) { h.Write(piece) }); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// MustDigest is Digest, which ends the test where it fails.
func MustDigest(t testing.TB, path string) string {
	t.Helper()
	digest, err := Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// openDirect opens path with O_DIRECT, or without it on a file system that does
// not know it.
func openDirect(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|syscall.O_DIRECT, 0)
	if errors.Is(err, syscall.EINVAL) {
		return os.OpenFile(path, flags, 0)
	}
	return f, err
}

// alignedBuffer is a buffer of so many bytes, aligned as O_DIRECT wants it.
func alignedBuffer(bytes uint64) []byte {
	const page = 4096
	b := make([]byte, bytes+page)
	return b[-uintptr(unsafe.Pointer(unsafe.SliceData(b)))%page:][:bytes]
}
