package ext

import (
	"encoding/binary"
	"fmt"
	"iter"

	"dmcow/fs"
)

// attributeMagic begins every place that has attributes.
const attributeMagic = 0xea020000

// attributes is a place that has extended attributes: behind an inode's fields, or a block.
type attributes struct {
	i      *inode
	what   string
	list   record // of the entries, and whatever follows
	values record // the offsets of values are in it
	at     int64  // of values on the volume
	first  int    // where list begins in values
}

// attribute is one of them.
type attribute struct {
	index       byte
	name        string
	in          int    // where its value is in the place's values
	size        int64  // of the value
	holder      fs.Ino // the inode that has the value as its content
	hash        uint32
	value       record
	entryOffset int
}

// The namespaces of attributes, by their index. One that is not here is not shown, as getxattr(2) does not.
var namespaces = map[byte]string{
	1: "user.", 2: "system.posix_acl_access", 3: "system.posix_acl_default", 4: "trusted.", 6: "security.", 7: "system.", 8: "system.richacl", 10: "gnu.",
}

// The indexes that have a meaning here.
const (
	indexACL        = 2
	indexDefaultACL = 3
	indexSystem     = 7
)

// Xattrs are the extended attributes.
func (i *inode) Xattrs() iter.Seq2[fs.Xattr, error] {
	return func(yield func(fs.Xattr, error) bool) {
		if body, ok := i.bodyAttributes(); ok && !body.tell(yield) {
			return
		}
		block := i.attributeBlock()
		if block == 0 {
			return
		}
		b, err := i.readAttributeBlock(block)
		if err != nil {
			yield(fs.Xattr{}, err)
			return
		}
		_ = attributes{i, i.attributesName(), b[32:], b, int64(block) * i.f.blockSize, 32}.tell(yield)
	}
}

func (i *inode) attributesName() string { return "extended attributes of " + i.name() }

// bodyAttributes is the place behind the fields, if there are attributes.
func (i *inode) bodyAttributes() (attributes, bool) {
	start := 128 + i.extra()
	if len(i.slot) <= 128 || i.extra() == 0 || start+4 > len(i.slot) || i.slot.u32(start) != attributeMagic {
		return attributes{}, false
	}
	values := i.slot[start+4:]
	return attributes{i, i.attributesName(), values, values, i.at + int64(start) + 4, 0}, true
}

func (i *inode) attributeBlock() uint64 {
	block := uint64(i.slot.u32(0x68))
	if i.f.incompat&incompat64Bit != 0 {
		block |= uint64(i.slot.u16(0x76)) << 32
	}
	return block
}

func (i *inode) readAttributeBlock(block uint64) (record, error) {
	b, err := i.f.dev.block(block, i.attributesName())
	if err != nil {
		return nil, err
	}
	at := int64(block) * i.f.blockSize
	if b.u32(0) != attributeMagic || b.u32(8) != 1 {
		return nil, &fs.DamageError{What: i.attributesName(), At: at, Why: "its block has no such thing"}
	}
	if got, want := b.u32(16), checksumBut(checksum64(i.f.seed, block), b, 16, 4); i.f.hasCsum() && got != want {
		return nil, &fs.DamageError{What: i.attributesName(), At: at, Why: fmt.Sprintf("the checksum is 0x%08x, expected 0x%08x", got, want)}
	}
	return b, nil
}

func (p attributes) damaged(in int, format string, args ...any) error {
	return &fs.DamageError{What: p.what, At: p.at + int64(in), Why: fmt.Sprintf(format, args...)}
}

// all are the entries of a place.
func (p attributes) all() iter.Seq2[attribute, error] {
	return func(yield func(attribute, error) bool) {
		for at := 0; ; {
			if at+4 > len(p.list) {
				yield(attribute{}, p.damaged(p.first+at, "the list has no end"))
				return
			}
			if p.list.u32(at) == 0 {
				return
			}
			if at+16 > len(p.list) || at+16+int(p.list[at]) > len(p.list) {
				yield(attribute{}, p.damaged(p.first+at, "an entry goes beyond the end"))
				return
			}
			e := p.list[at:]
			a := attribute{index: e[1], name: string(e[16 : 16+int(e[0])]), in: int(e.u16(2)), holder: fs.Ino(e.u32(4)), size: int64(e.u32(8)), hash: e.u32(12), entryOffset: p.first + at}
			err := p.find(&a)
			if !yield(a, err) {
				return
			}
			at += (16 + int(e[0]) + 3) &^ 3
		}
	}
}

// find finds the value of an attribute, if it is not in another inode.
func (p attributes) find(a *attribute) error {
	if a.holder != 0 {
		return nil
	}
	if int64(a.in)+a.size > int64(len(p.values)) {
		return p.damaged(a.entryOffset, "the value of %q has %d bytes from %d on, of %d", a.name, a.size, a.in, len(p.values))
	}
	a.value = p.values[a.in : a.in+int(a.size)]
	return nil
}

func (p attributes) tell(yield func(fs.Xattr, error) bool) bool {
	for a, err := range p.all() {
		space, known := namespaces[a.index]
		if err == nil && (!known || a.index == indexSystem && a.name == "data") {
			continue
		}
		x := fs.Xattr{Name: space + a.name}
		if err == nil {
			x.Value, err = p.value(a)
		}
		if err != nil {
			x = fs.Xattr{Name: x.Name}
		}
		if !yield(x, err) {
			return false
		}
	}
	return true
}

func (p attributes) value(a attribute) ([]byte, error) {
	value := append([]byte{}, a.value...)
	if a.holder != 0 {
		var err error
		if value, err = p.held(a); err != nil {
			return nil, err
		}
	}
	if a.index == indexACL || a.index == indexDefaultACL {
		acl, ok := convertACL(value)
		if !ok {
			return nil, p.damaged(a.in, "the access control list has %d bytes that make none", len(value))
		}
		return acl, nil
	}
	return value, nil
}

// maxHeld is how large a value can be, as for getxattr(2).
const maxHeld = 64 << 10

// held is a value that is the content of an inode of its own. That has the value's hash as its time of access.
func (p attributes) held(a attribute) ([]byte, error) {
	f := p.i.f
	h, err := f.inode(a.holder)
	if err != nil {
		return nil, p.damaged(a.entryOffset, "the value of %q should be in inode %d: %v", a.name, a.holder, err)
	}
	if f.incompat&incompatEAInode == 0 || h.flags&flagEAInode == 0 || h.attr.Type != fs.TypeFile || a.size > maxHeld || h.attr.Size != a.size {
		return nil, p.damaged(a.entryOffset, "the value of %q has %d bytes, and inode %d does not hold it", a.name, a.size, a.holder)
	}
	value := make([]byte, a.size)
	if n, err := h.readAt(value, 0); n < len(value) {
		return nil, err
	}
	got, want := h.slot.u32(8), checksum(f.seed, value)
	lustre := fs.Ino(h.slot.u32(0x10)) == p.i.number && h.attr.Generation == p.i.attr.Generation // has none
	if got != want && !lustre {
		return nil, p.damaged(a.entryOffset, "the hash of the value of %q, in inode %d, is 0x%08x, expected 0x%08x", a.name, a.holder, got, want)
	}
	return value, nil
}

// inlineRest is the content of the inode that does not fit where others have their trees, and where in the slot it is.
func (i *inode) inlineRest() (record, int64, error) {
	body, ok := i.bodyAttributes()
	if !ok {
		return nil, 0, i.damaged(i.at, "the rest of its content is missing")
	}
	for a, err := range body.all() {
		if a.index != indexSystem || a.name != "data" {
			continue
		}
		if err == nil && a.holder != 0 {
			err = body.damaged(a.entryOffset, "the inode's content should be in inode %d", a.holder)
		}
		return a.value, body.at - i.at + int64(a.in), err
	}
	return nil, 0, i.damaged(i.at, "the rest of its content is missing")
}

// convertACL makes an access control list what getxattr(2) gives. On the volume only entries for a certain user or
// group have a number.
func convertACL(p record) ([]byte, bool) {
	const user, group, nobody = 2, 8, ^uint32(0)
	if len(p) < 4 || p.u32(0) != 1 {
		return nil, false
	}
	acl := []byte{2, 0, 0, 0}
	for p = p[4:]; len(p) >= 4; {
		acl = append(acl, p[:4]...)
		id, size := nobody, 4
		if tag := p.u16(0); tag == user || tag == group {
			if len(p) < 8 {
				return nil, false
			}
			id, size = p.u32(4), 8
		}
		acl = binary.LittleEndian.AppendUint32(acl, id)
		p = p[size:]
	}
	return acl, len(p) == 0
}
