package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/volume"
	"dmcow/lvm"
)

// layoutFacts are what the kernel showed of a group with an origin that is not linear, in testdata/lvm.
type layoutFacts struct {
	Disks    []string     `json:"disks"`
	Views    []volumeView `json:"views"`
	Readings []reading    `json:"readings"`
}

// volumeView is what a volume showed; it is exported where it is a snapshot.
type volumeView struct {
	Name   string `json:"name"`
	Export bool   `json:"export"`
	SHA256 string `json:"sha256"`
}

// A reading is what is read from disks, but for some that are missing.
type reading struct {
	Without []int  `json:"without"`
	Told    string `json:"told,omitempty"`  // what the user is told, among other things; empty for nothing
	Fails   string `json:"fails,omitempty"` // or the error
}

// readVolume reads a volume from disks: what is there, what the user is told, and what is gone.
func readVolume(t *testing.T, name string, disks []string) (content []byte, told []string, err error) {
	t.Helper()
	sight, err := volume.Look(volume.Options{Given: disks, Tell: func(about, text string) { told = append(told, about+": "+text) }})
	if err != nil {
		t.Fatal(err)
	}
	defer sight.Close()
	group, logical, _ := lvm.SplitName(name)
	g, err := sight.Group(group)
	if err != nil {
		return nil, told, err
	}
	d, err := sight.Volume(name, g, g.Find(logical)).Open()
	if err != nil {
		return nil, told, err
	}
	content = make([]byte, d.Size())
	_, err = d.ReadAt(content, 0)
	return content, told, err
}

// without is a list without some of its places.
func without(all []string, missing []int) (left []string) {
	for i, s := range all {
		if !slices.Contains(missing, i) {
			left = append(left, s)
		}
	}
	return left
}

// TestLayouts: groups whose origins are on RAID, on mirrors, or on their way to another disk are read as the kernel showed
// them.
func TestLayouts(t *testing.T) {
	all, err := filepath.Glob("../testdata/lvm/layout-*.json")
	if err != nil || len(all) < 10 {
		t.Fatal(all, err)
	}
	for _, path := range all {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var f layoutFacts
			if err := json.Unmarshal(b, &f); err != nil || len(f.Readings) == 0 || len(f.Views) == 0 {
				t.Fatal(err)
			}
			var disks []string
			for _, d := range f.Disks {
				disks = append(disks, filepath.Join(t.TempDir(), d))
				devicetest.WriteFile(t, disks[len(disks)-1], devicetest.Unzip(t, filepath.Join("../testdata/lvm", d)))
			}
			for _, r := range f.Readings {
				for _, v := range f.Views {
					r.check(t, v, without(disks, r.Without))
				}
			}
		})
	}
}

// check wants a volume to be read so.
func (r reading) check(t *testing.T, v volumeView, disks []string) {
	t.Helper()
	if v.Export {
		image := filepath.Join(t.TempDir(), "image")
		status := map[bool]int{true: 0, false: 8}[r.Fails == ""]
		_, stderr := expect(t, status, append([]string{"export", v.Name, image}, pv(disks)...)...)
		if b, err := os.ReadFile(image); status == 0 && (err != nil || corpus.Digest(b) != v.SHA256) {
			t.Errorf("%s without %v: %v, %s", v.Name, r.Without, err, stderr)
		}
		return
	}
	content, told, err := readVolume(t, v.Name, disks)
	if r.Fails != "" {
		if err == nil || !strings.Contains(err.Error(), r.Fails) {
			t.Errorf("%s without %v: %v, want %s; told %q", v.Name, r.Without, err, r.Fails, told)
		}
		return
	}
	if text := strings.Join(told, "; "); err != nil || corpus.Digest(content) != v.SHA256 || !strings.Contains(text, r.Told) || r.Told == "" && text != "" {
		t.Errorf("%s without %v: %v, as the kernel has it: %v; told %q, want %q", v.Name, r.Without, err, corpus.Digest(content) == v.SHA256, told, r.Told)
	}
}
