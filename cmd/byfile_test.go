package cmd

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
)

// owners are the bytes of each file in some ranges of an image, as debugfs says.
func owners(t *testing.T, image string, ranges [][2]int64, block int64) map[string]int64 {
	t.Helper()
	debugfs, err := exec.LookPath("debugfs")
	if err != nil {
		debugfs = "/usr/sbin/debugfs"
	}
	ask := func(command string) [][]string {
		out, err := exec.Command(debugfs, "-R", command, image).Output()
		if err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err, ": install e2fsprogs")
		}
		var rows [][]string
		for line := range strings.Lines(string(out)) {
			rows = append(rows, strings.SplitN(strings.TrimRight(line, "\n"), "\t", 2))
		}
		return rows[1:]
	}
	var blocks []string
	for _, r := range ranges {
		for b := r[0] / block; b < (r[0]+r[1])/block; b++ {
			blocks = append(blocks, fmt.Sprint(b))
		}
	}
	byInode := map[string]int64{}
	for _, row := range ask("icheck " + strings.Join(blocks, " ")) {
		if _, err := strconv.Atoi(row[1]); err == nil {
			byInode[row[1]] += block
		}
	}
	var inodes []string
	for n := range byInode {
		inodes = append(inodes, n)
	}
	all := map[string]int64{}
	for _, row := range ask("ncheck " + strings.Join(inodes, " ")) {
		all["/"+strings.TrimLeft(row[1], "/")] = byInode[row[0]]
	}
	return all
}

// TestByFile: usage --by-file says of each file what debugfs does.
func TestByFile(t *testing.T) {
	dir := t.TempDir()
	cow, origin, image := filepath.Join(dir, "cow"), filepath.Join(dir, "origin"), filepath.Join(dir, "image")
	for name, path := range map[string]string{"lvm-ext4.cow.gz": cow, "lvm-ext4.origin.gz": origin} {
		if err := os.WriteFile(path, devicetest.Unzip(t, "../testdata/kernel/"+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told(t, 0, "export", cow, "--origin", origin, image)
	rows, err := csv.NewReader(strings.NewReader(told(t, 0, "diff", cow, "--origin", origin, "-o", "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var ranges [][2]int64
	for _, row := range rows[1:] {
		start, _ := strconv.ParseInt(row[0], 10, 64)
		length, _ := strconv.ParseInt(row[1], 10, 64)
		ranges = append(ranges, [2]int64{start, length})
	}
	var got struct {
		Bytes    int64            `json:"data_bytes"`
		Snapshot map[string]int64 `json:"snapshot"`
		Origin   map[string]int64 `json:"on_origin"`
		Files    []struct {
			Path string
			Then int64 `json:"snapshot_bytes"`
			Now  int64 `json:"origin_bytes"`
		}
	}
	if err := json.Unmarshal([]byte(told(t, 0, "usage", "--by-file", cow, "--origin", origin, "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	for _, side := range []map[string]int64{got.Snapshot, got.Origin} {
		var sum int64
		for _, n := range side {
			sum += n
		}
		if sum != 523*4096 || got.Bytes != sum {
			t.Errorf("%d bytes of %d", sum, got.Bytes)
		}
	}
	then, now := owners(t, image, ranges, 1024), owners(t, origin, ranges, 1024)
	for _, f := range got.Files {
		if then[f.Path] != f.Then || now[f.Path] != f.Now {
			t.Errorf("%s: %d and %d bytes, debugfs says %d and %d", f.Path, f.Then, f.Now, then[f.Path], now[f.Path])
		}
		delete(then, f.Path)
		delete(now, f.Path)
	}
	for _, rest := range []map[string]int64{then, now} { // directories are summed up
		for path, n := range rest {
			if path != "/" && path != "/new" && path != "/lost+found" {
				t.Errorf("%s: debugfs says %d bytes", path, n)
			}
		}
	}
}
