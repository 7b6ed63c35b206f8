package inuse

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

// answer is what device-mapper answers for a device with these targets, each of a
// type and arguments, and of 8 sectors.
func answer(targets ...[2]string) []byte {
	buf := newMapperRequest(mapperBuffer, flagStatusTable)
	u32, u64 := binary.NativeEndian.PutUint32, binary.NativeEndian.PutUint64
	u32(buf[offTargetCount:], uint32(len(targets)))
	at := mapperHead
	for i, target := range targets {
		spec := buf[at:]
		u64(spec[specStart:], uint64(8*i))
		u64(spec[specLength:], 8)
		copy(spec[specType:], target[0])
		at += specSize + (copy(spec[specSize:], target[1])+8)/8*8
		u32(spec[specNext:], uint32(at-mapperHead))
	}
	return buf
}

func TestParseTable(t *testing.T) {
	got := parseTable(answer([2]string{"snapshot", "254:1 254:2 P 8"}, [2]string{"linear", "7:0 4096"}, [2]string{"error", ""}))
	if want := []row{
		{Target{"snapshot", []string{"254:1", "254:2", "P", "8"}}, 0, 4096},
		{Target{"linear", []string{"7:0", "4096"}}, 4096, 4096},
		{Target{"error", []string{}}, 8192, 4096},
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if got := parseTable(answer()); len(got) > 0 {
		t.Errorf("no targets: %+v", got)
	}
}

// FuzzParseTable: whatever the answer, nothing panics, and it comes to an end.
func FuzzParseTable(f *testing.F) {
	f.Add(answer([2]string{"snapshot", "254:1 254:2 P 8"}, [2]string{"linear", "7:0 4096"})[:500])
	f.Add(answer([2]string{"sixteen-letters-", strings.Repeat("x", mapperBuffer)})[:400])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < mapperHead {
			return
		}
		if rows := parseTable(b); len(rows) > len(b)/specSize {
			t.Errorf("%d targets in %d bytes", len(rows), len(b))
		}
	})
}
