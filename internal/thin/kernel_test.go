package thin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
	"dmcow/internal/scatter"
	"dmcow/internal/thin"
)

// kernelPool is a pool that the kernel serves.
type kernelPool struct {
	*testing.T
	metadata, data string // block devices
	pool           *kernellab.Device
	volumes        []*kernellab.Device
}

const sectors = 128 // of a block

func newPool(t *testing.T, blocks uint64) *kernelPool {
	kernellab.Require(t)
	p := &kernelPool{T: t, metadata: kernellab.Loop(t, kernellab.File(t, "metadata", 8192)), data: kernellab.Loop(t, kernellab.File(t, "data", blocks*sectors))}
	p.pool = kernellab.Create(t, "pool", fmt.Sprintf("0 %d thin-pool %s %s %d 0", blocks*sectors, p.metadata, p.data, sectors), false)
	return p
}

// volume activates a volume of so many sectors.
func (p *kernelPool) volume(id, sectors uint64, external string) *kernellab.Device {
	p.Helper()
	d := kernellab.Create(p, fmt.Sprint("thin", id), fmt.Sprintf("0 %d thin %s %d %s", sectors, p.pool.Path, id, external), false)
	p.volumes = append(p.volumes, d)
	return d
}

func (p *kernelPool) write(d *kernellab.Device, chunk, version uint64, chunks []uint64) {
	p.Helper()
	if failed, err := kernellab.WritePattern(d.Path, chunk, chunks, version); failed > 0 || err != nil {
		p.Fatal(failed, err)
	}
}

// opened is a device that is read past the page cache.
func opened(t *testing.T, path string) *device.Device {
	t.Helper()
	d, err := device.Open(path)
	kernellab.Must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func digest(t *testing.T, d *scatter.Device) string {
	t.Helper()
	h := sha256.New()
	_, err := io.CopyBuffer(h, io.NewSectionReader(d, 0, d.Size()), make([]byte, 1<<20))
	kernellab.Must(t, err)
	return hex.EncodeToString(h.Sum(nil))
}

// TestKernelThin: volumes of a pool, and snapshots of them, are read as the kernel shows them, with
// an external origin, too; and when the pool was copied while it was active.
func TestKernelThin(t *testing.T) {
	const size = (1500*sectors + 8) * 512
	p := newPool(t, 900)
	p.pool.Message(t, "create_thin", "0")
	first := p.volume(0, size/512, "")
	var many []uint64
	for i := range uint64(600) { // more than fit in a node
		many = append(many, i*7%1500)
	}
	p.write(first, sectors, 1, many)
	first.Suspend(t)
	p.pool.Message(t, "create_snap", "5", "0")
	first.Resume(t)
	snapshot := p.volume(5, size/512, "")
	p.write(first, 8, 2, []uint64{0, 3, 1600, 1601, 1500 * sectors / 8})
	p.write(snapshot, 8, 3, []uint64{9, 1600, 20000})
	external := kernellab.LoopOf(t, kernellab.Pattern(0, 10*sectors+24, 4))
	p.pool.Message(t, "create_thin", "16777215")
	last := p.volume(16777215, 20*sectors, external)
	p.write(last, 8, 5, []uint64{17, 18, 160, 161, 300})

	var want []string
	for _, d := range p.volumes {
		want = append(want, kernellab.MustDigest(t, d.Path))
	}
	compare := func(when string) {
		t.Helper()
		metadata, data := opened(t, p.metadata), opened(t, p.data)
		pool, err := thin.Open(metadata, metadata.Size())
		if err != nil || pool.BlockSize != sectors*512 || pool.DataBlocks != 900 || pool.NeedsCheck {
			t.Fatalf("%s: %+v, %v", when, pool, err)
		}
		for i, v := range []thin.Volume{{ID: 0, Size: size}, {ID: 5, Size: size}, {ID: 16777215, Size: 20 * sectors * 512, External: opened(t, external)}} {
			v.Data = data
			d, err := pool.Open(v)
			kernellab.Must(t, err)
			if digest(t, d) != want[i] {
				t.Errorf("%s: volume %d is not what the kernel shows", when, v.ID)
			}
		}
	}
	for _, d := range p.volumes { // so that what is committed is all
		f, err := os.OpenFile(d.Path, os.O_RDWR, 0)
		kernellab.Must(t, err)
		kernellab.Must(t, f.Sync())
		f.Close()
	}
	compare("active")
	for _, d := range slices.Backward(p.volumes) {
		d.Remove(t)
	}
	p.pool.Remove(t)
	compare("inactive")
}
