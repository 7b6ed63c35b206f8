package volume_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/volume"
	"dmcow/lvm"
)

// configure has LVM's configuration be two files.
func configure(t *testing.T, conf, local string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("LVM_SYSTEM_DIR", dir)
	write(t, filepath.Join(dir, "lvm.conf"), conf)
	write(t, filepath.Join(dir, "lvmlocal.conf"), local)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

const machineID = "3d1219c7c4c5404aaa1f6d2a48adfda4\n"

// TestSystemID: a host has the system ID that LVM gives it, by each of the sources. (The one that
// is derived from the machine's is what lvm2 2.03.16 made of that.)
func TestSystemID(t *testing.T) {
	for _, c := range []struct{ source, machine, file, uname, local, want, why string }{
		{source: "", local: "alpha", machine: machineID, uname: "host", want: ""},
		{source: "none", local: "alpha", want: ""},
		{source: "lvmlocal", local: " al pha", want: "alpha"},
		{source: "LVMlocal", local: "alpha", want: "alpha"},
		{source: "lvmlocal", local: "", why: `local/system_id: invalid system ID ""`},
		{source: "lvmlocal", local: "localhost", why: `local/system_id: invalid system ID "localhost"`},
		{source: "uname", uname: "host.example", want: "host.example"},
		{source: "uname", uname: "localhost.localdomain", why: `uname: invalid system ID "localhost.localdomain"`},
		{source: "uname", why: "uname: nobody knows"},
		{source: "machineid", machine: machineID, want: "3d1219c7c4c5404aaa1f6d2a48adfda4"},
		{source: "machine-id", machine: machineID, want: "3d1219c7c4c5404aaa1f6d2a48adfda4"},
		{source: "machineid", machine: "-", why: "machine-id: no such file or directory"},
		{source: "appmachineid", machine: machineID, want: "8904c2aa8c6a4e68973b69d39b56789b"},
		{source: "AppMachineID", machine: strings.ToUpper(machineID), want: "8904c2aa8c6a4e68973b69d39b56789b"},
		{source: "appmachineid", machine: "-", why: "machine-id: no such file or directory"},
		{source: "appmachineid", machine: "uninitialized\n", why: "machine-id: not a machine ID (32 hexadecimal digits)"},
		{source: "appmachineid", machine: strings.Repeat("0", 32), why: "machine-id: not a machine ID (32 hexadecimal digits)"},
		{source: "appmachineid", machine: machineID[:30] + "\n", why: "machine-id: not a machine ID (32 hexadecimal digits)"},
		{source: "file", file: "# x\n   \n!!! # y\nlocalhost\n  ga#mma\ndelta\n", want: "ga"},
		{source: "file", file: "# x\n", why: "id: no valid system ID in it"},
		{source: "file", file: "-", why: "id: no such file or directory"},
		{source: "file", why: "global/system_id_file: missing"},
		{source: "nonsense", local: "alpha", why: `global/system_id_source: unknown value "nonsense"`},
		{source: "NONE", why: `global/system_id_source: unknown value "NONE"`},
	} {
		etc := t.TempDir()
		t.Setenv("LVM_SYSTEM_DIR", "")
		if err := os.Unsetenv("LVM_SYSTEM_DIR"); err != nil {
			t.Fatal(err)
		}
		conf := "global { "
		if c.file != "" {
			conf += "system_id_file = \"" + filepath.Join(etc, "id") + "\" "
		}
		if c.source != "" {
			conf += "system_id_source = \"" + c.source + "\" "
		}
		write(t, filepath.Join(etc, "lvm/lvm.conf"), conf+"}")
		write(t, filepath.Join(etc, "lvm/lvmlocal.conf"), "local { system_id = \""+c.local+"\" }")
		for name, text := range map[string]string{"machine-id": c.machine, "id": c.file} {
			if text != "-" {
				write(t, filepath.Join(etc, name), text)
			}
		}
		h, err := volume.HostIn(etc, func() (string, error) {
			if c.uname == "" {
				return "", errors.New("nobody knows")
			}
			return c.uname, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if h.SystemID != c.want || (h.Unknown == nil) != (c.why == "") || c.why != "" && !strings.HasSuffix(h.Unknown.Error(), c.why) {
			t.Errorf("%s: %q (%v), want %q (%s)", c.source, h.SystemID, h.Unknown, c.want, c.why)
		}
	}
}

// TestMachineIDElsewhere: LVM's configuration may have another directory for /etc, which systemd
// does not know of.
func TestMachineIDElsewhere(t *testing.T) {
	etc, elsewhere := t.TempDir(), t.TempDir()
	write(t, filepath.Join(etc, "machine-id"), machineID)
	write(t, filepath.Join(elsewhere, "machine-id"), "elsewhere\n")
	for source, want := range map[string]string{"machineid": "elsewhere", "appmachineid": "8904c2aa8c6a4e68973b69d39b56789b"} {
		configure(t, "global { etc = \""+elsewhere+"\" system_id_source = "+source+" }", "")
		if h, err := volume.HostIn(etc, nil); err != nil || h.SystemID != want {
			t.Errorf("%s: %+v, %v, want %s", source, h, err, want)
		}
	}
}

// TestReadHost: the configuration is where LVM has it; what cannot be read is an error that names
// the file.
func TestReadHost(t *testing.T) {
	dir := configure(t, "global { locking_dir = /a }", "global { locking_dir = /b }")
	if h, err := volume.ReadHost(); err != nil || h.LockingDir != "/b" {
		t.Errorf("%+v, %v", h, err)
	}
	write(t, filepath.Join(dir, "lvmlocal.conf"), "global { locking_dir = \"\" }")
	if h, err := volume.ReadHost(); err != nil || h.LockingDir != "/run/lock/lvm" {
		t.Errorf("%+v, %v", h, err)
	}
	for _, text := range []string{"global {", "global { locking_dir = 1 }"} {
		write(t, filepath.Join(dir, "lvmlocal.conf"), text)
		var e *volume.Error
		if _, err := volume.ReadHost(); !errors.As(err, &e) || e.About != filepath.Join(dir, "lvmlocal.conf") {
			t.Errorf("%q: %v", text, err)
		}
	}
	t.Chdir(dir)
	for _, other := range []string{"", t.TempDir()} { // an empty name does not mean the working directory
		t.Setenv("LVM_SYSTEM_DIR", other)
		if h, err := volume.ReadHost(); err != nil || h.LockingDir != "/run/lock/lvm" || h.SystemID != "" || h.Unknown != nil {
			t.Errorf("%+v, %v", h, err)
		}
	}
}

// TestAutoextendThreshold: LVM's default is never, and it takes what is below 50 for 50.
func TestAutoextendThreshold(t *testing.T) {
	for text, want := range map[string]uint64{"": 100, "70": 70, "100": 100, "30": 50, "-1": 50, `"no"`: 100} {
		if text != "" {
			text = "activation { snapshot_autoextend_threshold = " + text + " }"
		}
		configure(t, text, "")
		if h, err := volume.ReadHost(); err != nil || h.AutoextendThreshold != want {
			t.Errorf("%q: %+v, %v", text, h, err)
		}
	}
}

// TestMayUse: a group without an ID is anybody's; one with an ID is its host's, and theirs who have
// it on their list, and an ID of their own.
func TestMayUse(t *testing.T) {
	const extra = `local { extra_system_ids = [ "gamma", "" ] }`
	for _, c := range []struct {
		conf, local, says string
		may               []string
	}{
		{"", "", "this host has no system ID", []string{""}},
		{"", extra, "this host has no system ID", []string{""}},
		{"global { system_id_source = lvmlocal }", extra, `this host has no system ID (local/system_id: invalid system ID "")`, []string{""}},
		{"global { system_id_source = lvmlocal }", "local { system_id = alpha }", "this host is alpha", []string{"", "alpha"}},
		{"global { system_id_source = lvmlocal }", "local/system_id = alpha " + extra, "this host is alpha", []string{"", "alpha", "gamma"}},
	} {
		configure(t, c.conf, c.local)
		h, err := volume.ReadHost()
		if err != nil {
			t.Fatal(err)
		}
		var may []string
		for _, id := range []string{"", "alpha", "beta", "gamma"} {
			if volume.MayUse(h, &lvm.Group{SystemID: id}) {
				may = append(may, id)
			}
		}
		if strings.Join(may, " ") != strings.Join(c.may, " ") || len(may) != len(c.may) || h.String() != c.says {
			t.Errorf("%s, %s: %s, and may use %q, want %s, %q", c.conf, c.local, h, may, c.says, c.may)
		}
	}
}
