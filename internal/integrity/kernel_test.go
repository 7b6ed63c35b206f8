package integrity_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"dmcow/internal/integrity"
	"dmcow/internal/kernellab"
)

// TestKernelIntegrity: a volume is read as the kernel shows it: while its journal has what the data device
// lacks, after the journal went round, and when it was shut down; and with a bitmap in the journal's place.
func TestKernelIntegrity(t *testing.T) {
	for _, c := range []struct {
		mode  string
		block int
	}{{"J", 512}, {"J", 4096}, {"B", 512}} {
		t.Run(fmt.Sprint(c.mode, c.block), func(t *testing.T) { integrityOfKernel(t, c.mode, c.block) })
	}
}

func integrityOfKernel(t *testing.T, mode string, block int) {
	kernellab.Require(t)
	const sectors = 4 << 10
	data := kernellab.Loop(t, kernellab.File(t, "data", sectors))
	metadata := kernellab.Loop(t, kernellab.File(t, "metadata", 8<<10))
	table := fmt.Sprintf("0 %d integrity %s 0 - %s 6 meta_device:%s internal_hash:crc32c block_size:%d journal_sectors:2000 journal_watermark:100 commit_time:100000",
		sectors, data, mode, metadata, block)
	d := kernellab.Create(t, "guarded", table, false)
	write := func(version uint64, chunks ...uint64) {
		t.Helper()
		if failed, err := kernellab.WritePattern(d.Path, 8, chunks, version); failed > 0 || err != nil {
			t.Fatal(failed, err)
		}
		f, err := os.OpenFile(d.Path, os.O_RDWR, 0)
		kernellab.Must(t, err)
		kernellab.Must(t, f.Sync())
		f.Close()
	}
	all := make([]uint64, sectors/8)
	for i := range all {
		all[i] = uint64(i)
	}
	lacking := 0
	compare := func(when string, want []byte) {
		t.Helper()
		i, err := integrity.Open(bytes.NewReader(kernellab.MustRead(t, metadata)))
		kernellab.Must(t, err)
		alone := kernellab.MustRead(t, data)
		if i.BlockSize != int64(block) {
			t.Errorf("blocks of %d bytes", i.BlockSize)
		}
		if !bytes.Equal(alone, want) {
			lacking++
		}
		got := make([]byte, len(want))
		if _, err := i.Volume(bytes.NewReader(alone), "crc32c").ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: it is not what the kernel shows, with %d blocks in the journal, %v", when, i.Journaled(), err)
		}
	}
	write(1, all...) // so that each block has a tag
	for round := range uint64(20) {
		write(2+round, 7, 8, 9, 100+round, 300)
		compare(fmt.Sprint("in round ", round), kernellab.MustRead(t, d.Path))
		for i := range all[:100] { // so that the journal goes round
			write(30+round, (uint64(i)*13+round)%uint64(len(all)))
			if mode == "B" || i > 40 {
				break
			}
		}
	}
	if (lacking == 0) != (mode == "B") {
		t.Errorf("in %d rounds the data device alone was wrong", lacking)
	}
	want := kernellab.MustRead(t, d.Path)
	d.Remove(t)
	lacking = 0
	if compare("removed", want); lacking > 0 {
		t.Error("after it was removed, the data device alone is wrong")
	}
	d = kernellab.Create(t, "guarded", table, false)
	if !bytes.Equal(kernellab.MustRead(t, d.Path), want) {
		t.Error("the kernel shows something else when it is activated again")
	}
}
