package lvm_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dmcow/lvm"
)

// TestConfig: what LVM's configuration says stands in sections, or flat; a later file holds where it
// says something.
func TestConfig(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  lvm.Config
	}{
		{nil, lvm.Config{}},
		{[]string{"", "# nothing\n"}, lvm.Config{}},
		{[]string{"global {\n\t# locking_dir = \"/no\"\n\tumask = 077\n\tlocking_dir = \"/run/x\"\n}\n"}, lvm.Config{LockingDir: "/run/x"}},
		{[]string{"devices { dir = \"/dev\" locking_dir = \"/no\" }\nglobal/locking_dir = \"/y\""}, lvm.Config{LockingDir: "/y"}},
		{[]string{"log { prefix = x }\nglobal { locking_dir = /z }"}, lvm.Config{LockingDir: "/z"}},
		{[]string{"locking_dir = \"/no\" system_id = \"no\" extra_system_ids = [\"no\"]"}, lvm.Config{}},
		{[]string{"global { locking_dir { a = 1 } local { system_id = no } }"}, lvm.Config{}},
		{[]string{"global { locking_dir = /a locking_dir = /b } global { locking_dir = /c }"}, lvm.Config{LockingDir: "/c"}},
		{
			[]string{`global { system_id_source = "file" system_id_file = "/etc/id" etc = "/e" } local { system_id = "a" extra_system_ids = [ "b", "c" ] }`},
			lvm.Config{SystemIDSource: "file", SystemIDFile: "/etc/id", Etc: "/e", SystemID: "a", ExtraSystemIDs: []string{"b", "c"}},
		},
		{
			[]string{`global { system_id_source = "uname" locking_dir = "/a" } local { extra_system_ids = [ "b", "c" ] }`,
				`global/system_id_source = "lvmlocal" local { system_id = "d" extra_system_ids = e }`},
			lvm.Config{LockingDir: "/a", SystemIDSource: "lvmlocal", SystemID: "d", ExtraSystemIDs: []string{"e"}},
		},
		{[]string{`local/extra_system_ids = [ "b", 1, "c" ]`}, lvm.Config{ExtraSystemIDs: []string{"b", "c"}}},
		{[]string{`local/extra_system_ids = [ "b" ]`, `local/extra_system_ids = []`}, lvm.Config{}},
		{[]string{"activation { snapshot_autoextend_threshold = 70 }"}, lvm.Config{AutoextendThreshold: new(uint64(70))}},
		{[]string{"activation { snapshot_autoextend_threshold = 70 }", "activation/snapshot_autoextend_threshold=100"}, lvm.Config{AutoextendThreshold: new(uint64(100))}},
		{[]string{"activation { snapshot_autoextend_threshold = -1 }"}, lvm.Config{AutoextendThreshold: new(uint64)}},
		{[]string{"snapshot_autoextend_threshold = 70 global { snapshot_autoextend_threshold = 70 }"}, lvm.Config{}},
		{[]string{`activation { snapshot_autoextend_threshold = "70" } global { locking_dir = /a }`}, lvm.Config{LockingDir: "/a"}},
	} {
		var got lvm.Config
		for _, text := range c.files {
			if err := got.Read([]byte(text)); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, want %+v", c.files, got, c.want)
		}
	}
	for _, text := range []string{"global {", "global { locking_dir = 1 }", "local { system_id = [a] }", "local { extra_system_ids { } x"} {
		if err := new(lvm.Config).Read([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// TestParseSystemID: the IDs are those that LVM makes (lvm systemid).
func TestParseSystemID(t *testing.T) {
	long := strings.Repeat("x", 128)
	for text, want := range map[string]string{
		"alpha": "alpha", "  .b e,ta\n": "beta", "Host-1.example+x_y": "Host-1.example+x_y", "-._+": "", "": "", "  \n": "", "._h.": "h.",
		"localhost": "", "localhost.localdomain": "", "localhost2": "", ".local host": "", "my-localhost": "my-localhost",
		"Localhost": "Localhost", "höst": "hst", "ä": "", long: long, long + "y": long, "a\x00b": "ab", "09azAZ": "09azAZ", "9/:@[`{Z": "9Z",
	} {
		if got := lvm.ParseSystemID(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := fmt.Sprint(len(lvm.ParseSystemID(strings.Repeat("-x", 500)))); got != "128" {
		t.Errorf("%s characters", got)
	}
}
