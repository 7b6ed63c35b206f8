package signature

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/device/devicetest"
)

// image is a file of size bytes with magic at a place.
func image(t *testing.T, size, at int64, magic string) *device.Device {
	t.Helper()
	content := make([]byte, size)
	copy(content[at:], magic)
	path := filepath.Join(t.TempDir(), "image")
	devicetest.WriteFile(t, path, content)
	return opened(t, path)
}

// TestSignatures finds each signature of the table in its place, on a device
// that ends there too, and none a byte further on.
func TestSignatures(t *testing.T) {
	const size = 1 << 20
	for _, s := range signatures {
		at, least := s.offset, s.offset+int64(len(s.bytes))
		if at < 0 {
			at, least = size+at, -at
		}
		if got, err := lookUp(signatures, image(t, size, at, s.bytes)); err != nil || got != s.name {
			t.Errorf("%s at %d: %q, %v", s.name, s.offset, got, err)
		}
		if got, err := lookUp(signatures, image(t, size, at+1, s.bytes)); err != nil || got != "" {
			t.Errorf("%s at %d and one: %q, %v", s.name, s.offset, got, err)
		}
		if got, err := lookUp(signatures, image(t, least, max(s.offset, 0), s.bytes)); err != nil || got != s.name {
			t.Errorf("%s on %d bytes: %q, %v", s.name, least, got, err)
		}
	}
}

// made are images as their own programs make them, by what blkid calls them.
var made = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F"},
	"xfs":   {"mkfs.xfs", "-q"},
	"btrfs": {"mkfs.btrfs", "-q"},
	"vfat":  {"mkfs.vfat"},
	"swap":  {"mkswap", "-q"},
}

// TestSignaturesOfRealThings: what the programs make is known, both with blkid
// and in a rescue shell that has none.
func TestSignaturesOfRealThings(t *testing.T) {
	_, errBlkid := exec.LookPath("blkid")
	for name, command := range made {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath(command[0])
			if err != nil {
				t.Skip(err)
			}
			path := filepath.Join(t.TempDir(), "image")
			devicetest.WriteFile(t, path, nil)
			if err := os.Truncate(path, 320<<20); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			c := exec.Command(program, append(command[1:], path)...)
			c.Stdout, c.Stderr = &out, &out
			if err := c.Run(); err != nil {
				t.Skipf("%v: %s", err, &out)
			}
			d := opened(t, path)
			if got, err := lookUp(signatures, d); err != nil || !strings.Contains(got, name) {
				t.Errorf("the table: %q, %v", got, err)
			}
			if errBlkid != nil {
				t.Skip(errBlkid)
			}
			if got, err := Of(d); err != nil || got != name {
				t.Errorf("blkid: %q, %v", got, err)
			}
			// Behind its first sector there is nothing of the kind.
			section, err := d.Section(512, -1)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Of(section); err != nil || got == name {
				t.Errorf("behind its first sector: %q, %v", got, err)
			}
		})
	}
}

// TestSignatureWithoutBlkid asks the table where there is no blkid, or one that
// knows no such options.
func TestSignatureWithoutBlkid(t *testing.T) {
	d := image(t, 4096, 0, "XFSB")
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if got, err := Of(d); err != nil || got != "xfs" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(bin, "blkid"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Of(d); err != nil || got != "xfs" {
		t.Errorf("with another blkid: %q, %v", got, err)
	}
}

func TestParseBlkid(t *testing.T) {
	for out, want := range map[string]string{
		"":                                   "",
		"DEVNAME=x\nUUID=1\nTYPE=ext4\n":     "ext4",
		"PTTYPE=gpt\nPART_ENTRY_TYPE=0x83\n": "gpt partition table",
		"TYPE=vfat\nPTTYPE=dos\nUSAGE=filesystem": "vfat, dos partition table",
	} {
		if got := parseBlkid(out); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}

func opened(t *testing.T, path string) *device.Device {
	t.Helper()
	d, err := device.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
