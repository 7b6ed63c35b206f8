package inuse

import (
	"reflect"
	"slices"
	"testing"
)

// TestParseMounts takes lines as proc_pid_mountinfo(5) has them, with fields in
// front of the dash and without, and with blanks in a name.
func TestParseMounts(t *testing.T) {
	const content = `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:3 - ext3 /dev/root rw,errors=continue
37 35 0:42 / /srv/a\040b rw - btrfs /dev/mapper/vg\134x rw
40 35 98:1 / /mnt3 ro - ext4 /dev/sdb rw
41 35 98:2 / /mnt4 rw - ext4 /dev/sdc ro,errors=continue
38 35 short
39 35 0:5 / /proc rw - proc
`
	want := []mounted{
		{Number{98, 0}, "/mnt2", "/dev/root", false},
		{Number{0, 42}, "/srv/a b", `/dev/mapper/vg\x`, false},
		{Number{98, 1}, "/mnt3", "/dev/sdb", false},
		{Number{98, 2}, "/mnt4", "/dev/sdc", true},
	}
	if got := parseMounts(content); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// TestParseSwaps takes the paths, and not the headline.
func TestParseSwaps(t *testing.T) {
	const content = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" +
		"/dev/dm-1                               partition\t1023996\t\t0\t\t-2\n" +
		"/swap\\040file                           file\t\t1024\t\t0\t\t-3\n"
	if got := parseSwaps(content); !slices.Equal(got, []string{"/dev/dm-1", "/swap file"}) {
		t.Errorf("%q", got)
	}
}

func TestUnescape(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain": "plain", `a\040b\011`: "a b\t", `\134040`: `\040`, `end\`: `end\`, `\04`: `\04`, `\999`: `\999`,
	} {
		if got := unescape(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
