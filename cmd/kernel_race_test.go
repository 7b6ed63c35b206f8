package cmd_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"dmcow/internal/kernellab"
)

func TestKernelRace(t *testing.T) {
	kernellab.Require(t)
	const sectors = 2000
	cow := imageLoop(t, append(make([]byte, 512), bytes.Repeat([]byte{0xa5}, (sectors-1)*512)...))
	s := kernellab.NewSnapshot(t, blankLoop(t, 400), cow, "P", 1)
	overwrite(t, s.Origin.Path, 1, span(0, 95))
	slow := kernellab.Create(t, "slow", fmt.Sprintf("0 34 linear %s 0\n34 1 delay %s 34 500\n35 %d linear %s 35", cow, cow, sectors-35, cow), true)
	done := make(chan string)
	begin := time.Now()
	go func() {
		status, out, err := dmcow("usage", "--output", "json", slow.Path)
		done <- fmt.Sprint(time.Since(begin), status, out, err)
	}()
	time.Sleep(250 * time.Millisecond)
	overwrite(t, s.Origin.Path, 1, span(95, 96))
	t.Log("written", time.Since(begin))
	t.Log(<-done)
	t.Log(dmcow("usage", "--output", "json", slow.Path))
}
