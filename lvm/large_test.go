package lvm_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"dmcow/lvm"
)

// largeSize is the size of a large text.
const largeSize = 16 << 20

// large are texts of that size, as LVM would write them and as an enemy would.
func large() map[string]string {
	many := func(one func(n int) string) string {
		var b strings.Builder
		for n := 0; b.Len() < largeSize; n++ {
			b.WriteString(one(n))
		}
		return b.String()
	}
	repeated := func(s string) string { return strings.Repeat(s, largeSize/len(s)) }
	seg := func(n int) string { return fmt.Sprintf("segment%d{start_extent=%d extent_count=1 type=\"x\"}", n, n) }
	segments := many(seg)
	unknown := func(s string) string { return strings.Replace(text("vg0", 1, ""), "seqno", s+" seqno", 1) }
	return map[string]string{
		"volumes": text("vg0", 1, many(func(n int) string {
			return fmt.Sprintf("\tvolume%d {\n\t\tid = %q\n\t\tstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\n\t\tflags = []\n\t\tcreation_time = 1234567890\n"+
				"\t\tsegment_count = 1\n\n\t\tsegment1 {\n\t\t\tstart_extent = 0\n\t\t\textent_count = 10\n\n\t\t\ttype = \"striped\"\n\t\t\tstripe_count = 1\n\n"+
				"\t\t\tstripes = [\n\t\t\t\t\"pv0\", %d\n\t\t\t]\n\t\t}\n\t}\n", n, id(n%1000000), n%900)
		})),
		"small volumes":   text("vg0", 1, many(func(n int) string { return fmt.Sprintf("v%d{id=%q segment_count=1 %s}", n, uuid, seg(0)) })),
		"segments":        text("vg0", 1, fmt.Sprintf("v{id=%q segment_count=%d %s}", uuid, strings.Count(segments, "{"), segments)),
		"entries":         unknown(repeated("a=1 ")),
		"sections":        unknown(repeated("a{}")),
		"a list":          unknown("a = [" + repeated("1,") + "]"),
		"a status":        unknown("status = [" + repeated(`"",`) + "]"),
		"stripes":         text("vg0", 1, "v { segment1 { stripes = ["+repeated(`"",1,`)+"] } }"),
		"a string":        unknown("a = \"" + repeated("\\\"") + "\""),
		"a name":          unknown(repeated("a") + "=1"),
		"a comment":       unknown("#" + repeated("#") + "\n"),
		"blanks":          unknown(repeated(" \n")),
		"what is no text": repeated("{"),
		"deep":            unknown(repeated("a{")),
	}
}

// TestLargeText: of a text of 16 MiB, no more is kept in memory than a few times its size,
// whatever it is, and whether it is well or not.
func TestLargeText(t *testing.T) {
	for name, s := range large() {
		b := []byte(s)
		before := heap()
		g, err := lvm.ParseGroup(b)
		kept := int64(heap()) - int64(before)
		runtime.KeepAlive(g)
		runtime.KeepAlive(b)
		t.Logf("%s: %d bytes kept, %v", name, kept, err != nil)
		if kept > 4*largeSize {
			t.Errorf("%s: %d bytes are kept of %d", name, kept, len(b))
		}
	}
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkText(b *testing.B) {
	for name, s := range large() {
		text := []byte(s)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = lvm.ParseGroup(text)
			}
		})
	}
}
