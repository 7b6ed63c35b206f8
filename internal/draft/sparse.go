package draft

import (
	"os"
	"time"

	"dmcow/internal/raw"
)

// WriteSparse writes of b what is not zero, and says how many bytes were left out: in a draft, they
// are a hole.
func (d *Draft) WriteSparse(b []byte, offset int64) (holes int64, err error) {
	var p [][]byte
	var at []int64
	for len(b) > 0 {
		n, zero := raw.Stretch(b)
		if zero {
			holes += int64(n)
		} else {
			p, at = append(p, b[:n]), append(at, offset)
		}
		b, offset = b[n:], offset+int64(n)
	}
	_, err = d.WriteMany(p, at)
	return holes, err
}

// OpenStream opens a pipe or the like to be written. A pipe without a reader waits for one, or until
// visit returns an error.
func OpenStream(name string, visit func() error) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	c := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		c <- opened{f, err}
	}()
	const often = 50 * time.Millisecond
	look := time.NewTicker(often)
	defer look.Stop()
	for {
		select {
		case x := <-c:
			return x.file, x.err
		case <-look.C:
			if err := visit(); err != nil {
				return nil, err
			}
		}
	}
}
