package lvm

// Wraps reports whether the text in a volume's first area goes on at the area's beginning.
func Wraps(f *Found) bool {
	l, err := locate(f.device(), "", f.Metadata[0])
	return err == nil && l.start+l.size > l.Size
}

// ParseGroup reads the text of a volume group.
func ParseGroup(text []byte) (*Group, error) { return parseGroup(text) }

// Text is the text in a volume's first area.
func Text(f *Found) []byte {
	l, err := locate(f.device(), "", f.Metadata[0])
	if err != nil {
		panic(err)
	}
	text, err := l.read(f.device(), "")
	if err != nil {
		panic(err)
	}
	return text
}
