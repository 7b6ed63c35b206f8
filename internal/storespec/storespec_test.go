package storespec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"dmcow/internal/kernellab/corpus"
)

func TestCompile(t *testing.T) {
	spec := `
		device 1029b          # two sectors and five bytes

		header chunk=1 valid=0 version=0x7 magic=SnAp
		ex 0 15 2
		ex 31 0x10 max # the area's last
		raw 16 ff*2 0a
		raw 0x404 ee`
	want := make([]byte, 1029)
	copy(want, "SnAp\x00\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\xff\xff\x0a")
	want[512], want[520] = 15, 2
	want[512+31*16] = 0x10
	copy(want[512+31*16+8:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	want[1028] = 0xee
	if got := MustCompile(t, spec); !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
}

// TestAsKernel: the kernel's stores come out of a spec, where their chunks
// were written in an order that a spec can say.
func TestAsKernel(t *testing.T) {
	stores := corpus.Load(t)
	specs := map[string]string{
		"empty-1":    "device 80\nheader chunk=1",
		"empty-1024": "device 16384\nheader chunk=1024",
		"merged":     "device 5600\nheader",
	}
	for name, spec := range specs {
		kernel, got := stores[name].COW(t), MustCompile(t, spec)
		const metadata = 8192 // behind it merged has data
		if len(got) != len(kernel) || !bytes.Equal(got[:metadata], kernel[:metadata]) {
			t.Errorf("%s: not as the kernel made it", name)
		}
	}
}

// TestFill goes over the end of an area, whose chunk must be left out, and on
// from a list that is there.
func TestFill(t *testing.T) {
	got := MustCompile(t, "device 100\nheader chunk=1\nex 0 7 3\nfill 28\nfill 4 100")
	var spec strings.Builder
	spec.WriteString("device 100\nheader chunk=1\nex 0 7 3\n")
	for i := range 28 {
		fmt.Fprintf(&spec, "ex %d %d %d\n", i+1, 3*(i+1), i+4)
	}
	spec.WriteString("ex 29 100 32\nex 30 101 33\nex 31 102 35\nex 32 103 36\n")
	if want := MustCompile(t, spec.String()); !bytes.Equal(got, want) {
		t.Error("fill is not what its exceptions are")
	}
}

func TestLayout(t *testing.T) {
	got := MustCompile(t, "device 4\nlayout chunk=1\nheader chunk=3\nex 0 1 2\nraw 512 0*16\nfill 1 1")
	want := MustCompile(t, "device 4\nheader chunk=1\nfill 1 1\nraw 12 3")
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x\nwant\n%x", got, want)
	}
}

func TestErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                             "no device",
		"# nothing\nheader":                            "line 2: header: device comes first",
		"device 1\n\ndevice 1":                         "line 3: device: device comes first",
		"device 0x1000000":                             "larger than",
		"device 0xffffffffffffffff":                    "larger than",
		"device":                                       "wants a size",
		"device 1\nhouse":                              "line 2: house: unknown",
		"device 1\nheader size=1":                      `unknown field "size"`,
		"device 1\nheader valid=0x100000000":           "32 bits",
		"device 1\nheader magic=Snap5":                 "line 2",
		"device 8b\nheader":                            "does not fit",
		"device 1\nlayout chunk=3":                     "power of 2",
		"device 4\nex 0 1 2":                           "line 2: ex: no legal chunk size",
		"device 4\nheader chunk=0\nfill 1":             "line 3: fill: no legal chunk size",
		"device 34\nheader chunk=1\nfill 33":           "line 3: fill: slot 32 is not",
		"device 34\nheader chunk=1\nex 32 1 1":         "slot 32",
		"device 1023b\nheader chunk=1\nex 0 1 1":       "slot 0",
		"device 4\nheader chunk=1\nex 0 1":             "wants 3 numbers",
		"device 4\nheader chunk=1\nfill":               "wants 1 numbers",
		"device 4\nheader chunk=1\nfill 1 2 3":         "wants 2 numbers",
		"device 4\nheader chunk=1\nex 0 x 1":           "line 3",
		"device 4\nheader chunk=1\nex 0 1 max\nfill 1": "line 4: fill: there is no chunk",
		"device 1\nraw 0":                              "wants an offset",
		"device 1\nraw 0 100":                          "line 2: raw",
		"device 1\nraw 511 1 2":                        "byte 512 is not on the device",
		"device 1\nraw max 1*max":                      "is not on the device",
	} {
		if _, err := Compile(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}
