package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"dmcow/internal/words"
)

// IsPattern reports whether a name is a pattern of names.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// FilesLike are the files that a pattern matches, which may be none. The error is a [*Refusal], of a pattern that is
// malformed, or of a directory that cannot be read: files may match there.
func FilesLike(pattern string) ([]string, error) {
	all, err := filepath.Glob(pattern)
	if err != nil {
		return nil, refuse(pattern, Unreadable, errors.New("no such file, and as a pattern it is malformed"))
	}
	if len(all) > 0 {
		return all, nil
	}
	dir := filepath.Dir(pattern)
	for IsPattern(dir) {
		dir = filepath.Dir(dir)
	}
	_, err = os.ReadDir(dir) // filepath.Glob does not say that it cannot
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return nil, refusef(pattern, Unreadable, "cannot read the directory %s: %w", words.Printable(dir), words.Pathless(err))
}
