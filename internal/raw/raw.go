// Package raw has what everything that reads and writes bytes needs: whole reads, and zeros.
package raw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// ReadFull reads all of p. The error is io.ErrUnexpectedEOF where the device ends before.
func ReadFull[N ~int | ~int64 | ~uint64](r io.ReaderAt, p []byte, offset N) error {
	_, err := readFull(r, p, int64(offset))
	return err
}

// ReadWhere is ReadFull; its error says at which byte.
func ReadWhere[N ~int | ~int64 | ~uint64](r io.ReaderAt, p []byte, offset N) error {
	_, err := ReadSome(r, p, offset)
	return err
}

// ReadSome is ReadWhere; it returns how much was read before the error.
func ReadSome[N ~int | ~int64 | ~uint64](r io.ReaderAt, p []byte, offset N) (int, error) {
	n, err := readFull(r, p, int64(offset))
	if err != nil {
		err = fmt.Errorf("byte %d: %w", int64(offset)+int64(n), err)
	}
	return n, err
}

func readFull(r io.ReaderAt, p []byte, offset int64) (int, error) {
	n, err := r.ReadAt(p, offset)
	switch {
	case n == len(p):
		return n, nil
	case err == nil, err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// RoundUp is the least multiple of a block that is not less than n.
func RoundUp[N ~int | ~int64 | ~uint64](n, block N) N { return (n + block - 1) / block * block }

// Block is what becomes a hole in a file, if it is where a block of the file system is.
const Block = 4096

var zeros [Block]byte

// IsZero reports whether all bytes are zero.
func IsZero(p []byte) bool {
	for len(p) > Block {
		if !bytes.Equal(p[:Block], zeros[:]) {
			return false
		}
		p = p[Block:]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

// Stretch is how many bytes from the beginning of p on are zero, or not zero, block by block.
func Stretch(p []byte) (n int, zero bool) {
	zero = IsZero(p[:min(len(p), Block)])
	for n < len(p) {
		end := min(n+Block, len(p))
		if IsZero(p[n:end]) != zero {
			break
		}
		n = end
	}
	return n, zero
}

// Uninterrupted makes a system call again for as long as a signal interrupts it.
func Uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
