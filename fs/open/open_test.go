package open_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/fs/open"
	"dmcow/internal/device/devicetest"
)

type volume struct{ *bytes.Reader }

func (v volume) Size() int64 { return v.Reader.Size() }

// TestFileSystem opens what the packages of the file systems have for their tests.
func TestFileSystem(t *testing.T) {
	for path, want := range map[string]string{"ext/testdata/ext4": "ext4", "ext/testdata/ext2": "ext2", "xfs/testdata/v4": "xfs", "xfs/testdata/v5": "xfs"} {
		content := devicetest.Unzip(t, filepath.Join("..", path+".gz"))
		f, err := open.FileSystem(volume{bytes.NewReader(content)}, ext.Options{})
		if err != nil || f.Info().Type != want {
			t.Errorf("%s: %v, expected %s", path, err, want)
		}
	}
}

// TestOther: what is not read has a name, even where there are copies of an older superblock.
func TestOther(t *testing.T) {
	old := devicetest.Unzip(t, "../xfs/testdata/v5.gz")
	clear(old[:4096])
	if f, err := open.FileSystem(volume{bytes.NewReader(old)}, ext.Options{}); err != nil || len(f.Info().Notes) == 0 {
		t.Errorf("a copy of the superblock is not used: %v", err)
	}
	for at, signature := range map[int]string{0x10040: "_BHRfS_M", 0x400: "LABELONE", 0: "LUKS\xba\xbe", 3: "NTFS    ", 4086: "SWAPSPACE2", 512: "EFI PART"} {
		content := append([]byte(nil), old...)
		copy(content[at:], signature)
		_, err := open.FileSystem(volume{bytes.NewReader(content)}, ext.Options{})
		if other := (*open.OtherError)(nil); !errors.As(err, &other) || other.Help == "" {
			t.Errorf("%q: %v", signature, err)
		}
	}
	if _, err := open.FileSystem(volume{bytes.NewReader(make([]byte, 1<<20))}, ext.Options{}); err != fs.ErrNone {
		t.Error(err)
	}
}
