package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dmcow/internal/device"
	"dmcow/internal/words"
)

// image is a device or an image file that is to be looked at.
type image struct {
	name  string
	files []string // of an image that was split, all of its pieces, in order
	fixed error    // why it cannot be written to; nil where it can
}

// open opens an image for reading. One that was split is joined again.
func (s *Sight) open(i image) (*device.Device, error) {
	if len(i.files) == 0 {
		return device.OpenUnlocked(i.name)
	}
	var parts []device.Part
	for _, file := range i.files {
		d, err := device.OpenUnlocked(file)
		if err != nil {
			return nil, fmt.Errorf("piece %s: %w", filepath.Base(file), err)
		}
		s.pieces = append(s.pieces, d)
		if d.Size() > 0 {
			parts = append(parts, device.Part{Length: d.Size(), Stripes: []device.Stripe{{On: d}}})
		}
	}
	d, err := device.Join(i.name, parts)
	if err != nil {
		return nil, err
	}
	return device.Computed(i.name, d.Size(), d, d), nil
}

// images are what names stand for. Of an image that was split, the name of the first piece stands for all,
// and the other pieces' for nothing beside it. The error is an [*Error].
func images(names []string) (all []image, err error) {
	later := map[string]bool{}
	for _, name := range names {
		i := image{name: name}
		if i.files, err = pieces(name); err != nil {
			return nil, &Error{name, err}
		}
		if len(i.files) > 0 {
			i.fixed = words.Hint(fmt.Errorf("%s is an image in %s, and can only be read", name, words.Count(len(i.files), "piece")), "join the pieces with cat, and give the whole")
			for _, file := range i.files[1:] {
				later[filepath.Clean(file)] = true
			}
		}
		all = append(all, i)
	}
	return slices.DeleteFunc(all, func(i image) bool { return later[filepath.Clean(i.name)] }), nil
}

// pieces are the files of an image that was split, the first of which has a name that ends with a number, 0 or 1, of two
// digits or more: "disk.001". There are none where no other file has such a name. All but the last piece
// must be there, and be of one size.
func pieces(first string) (all []string, err error) {
	stem, digits := cutNumber(first)
	start, err := strconv.Atoi(digits)
	if len(digits) < 2 || err != nil || start > 1 {
		return nil, nil
	}
	if info, err := os.Stat(first); err != nil || !info.Mode().IsRegular() {
		return nil, nil // of that hears who opens it
	}
	entries, err := os.ReadDir(filepath.Dir(first))
	if err != nil {
		return nil, nil // then it is taken alone
	}
	var numbers []int
	for _, e := range entries {
		s, d := cutNumber(e.Name())
		if n, err := strconv.Atoi(d); err == nil && s == filepath.Base(stem) && (len(d) == len(digits) || len(d) > len(digits) && d[0] != '0') && n >= start {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) < 2 {
		return nil, nil
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != start+i {
			return nil, fmt.Errorf("is the first piece of an image, and piece %s is missing: %[2]s is there", piece(filepath.Base(stem), digits, start+i), piece(filepath.Base(stem), digits, n))
		}
		all = append(all, piece(stem, digits, n))
	}
	return all, sameSize(all)
}

// cutNumber takes the number at the end of a name from it, with the dot before that.
func cutNumber(name string) (stem, digits string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || strings.Trim(name[dot+1:], "0123456789") != "" {
		return name, ""
	}
	return name[:dot], name[dot+1:]
}

func piece(stem, digits string, n int) string { return fmt.Sprintf("%s.%0*d", stem, len(digits), n) }

// sameSize wants all pieces but the last to have one size, and the last not to be larger.
func sameSize(files []string) error {
	var sizes []int64
	for _, file := range files {
		info, err := os.Stat(file)
		switch {
		case err != nil:
			return words.Pathless(err)
		case !info.Mode().IsRegular():
			return fmt.Errorf("is the first piece of an image, and %s is not a file", filepath.Base(file))
		}
		sizes = append(sizes, info.Size())
	}
	for i, size := range sizes {
		if size > sizes[0] || size < sizes[0] && i < len(sizes)-1 {
			return fmt.Errorf("is the first piece of an image, of %d bytes, and %s has %d: it is cut off, or a piece of something else", sizes[0], filepath.Base(files[i]), size)
		}
	}
	return nil
}
