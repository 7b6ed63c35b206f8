package xfs

import (
	"encoding/binary"
	"fmt"
	"iter"

	"dmcow/fs"
)

// The flags of an attribute.
const (
	attrLocal      = 0x1
	attrRoot       = 0x2
	attrSecure     = 0x4
	attrParent     = 0x8 // a name that the inode has, and in which directory
	attrIncomplete = 0x80
)

// attributes goes through the attributes of an inode.
type attributes struct {
	*inode
	yield func(fs.Xattr, error) bool
	seen  map[uint64]bool // blocks of the tree
	left  int64           // bytes that all values can have, yet
}

// Xattrs are the extended attributes.
func (i *inode) Xattrs() iter.Seq2[fs.Xattr, error] {
	return func(yield func(fs.Xattr, error) bool) {
		a := attributes{i, yield, map[uint64]bool{}, int64(i.f.blocks) * i.f.blockSize}
		switch i.xattr.form {
		case formLocal:
			_ = a.short()
		case formExtents, formTree:
			if i.xattr.extents > 0 {
				_ = a.block(0, -1)
			}
		}
	}
}

func (a *attributes) what() string { return "extended attributes of " + a.name() }

func (a *attributes) damaged(at int64, format string, args ...any) error {
	return &fs.DamageError{What: a.what(), At: at, Why: fmt.Sprintf(format, args...)}
}

// short tells of attributes that are in the inode.
func (a *attributes) short() bool {
	b := a.xattr.room
	if len(b) < 4 || int(b.u16(0)) > len(b) || b.u16(0) < 4 {
		return a.yield(fs.Xattr{}, a.damaged(a.xattr.at, "they have %d bytes in the inode, of %d", b.u16(0), len(b)))
	}
	count := int(b[2])
	b = b[:b.u16(0)]
	for at := 4; count > 0; count-- {
		if at+3 > len(b) || at+3+int(b[at])+int(b[at+1]) > len(b) {
			return a.yield(fs.Xattr{}, a.damaged(a.xattr.at+int64(at), "an entry goes beyond the end"))
		}
		value := at + 3 + int(b[at])
		next := value + int(b[at+1])
		if !a.tell(b[at+2], string(b[at+3:value]), b[value:next], nil, a.xattr.at+int64(at)) {
			return false
		}
		at = next
	}
	return true
}

// The names under which access control lists are kept.
const (
	aclName        = "SGI_ACL_FILE"
	defaultACLName = "SGI_ACL_DEFAULT"
)

// tell tells of an attribute, if it is one that getxattr(2) knows.
func (a *attributes) tell(flags byte, name string, value []byte, err error, at int64) bool {
	if flags&(attrParent|attrIncomplete) != 0 {
		return true
	}
	x := fs.Xattr{Name: "user." + name}
	switch {
	case flags&attrRoot != 0 && (name == aclName || name == defaultACLName):
		if x.Name = "system.posix_acl_access"; name == defaultACLName {
			x.Name = "system.posix_acl_default"
		}
		if acl, ok := convertACL(value); err == nil && !ok {
			err = a.damaged(at, "the access control list has %d bytes that make none", len(value))
		} else {
			value = acl
		}
	case flags&attrRoot != 0:
		x.Name = "trusted." + name
	case flags&attrSecure != 0:
		x.Name = "security." + name
	}
	if err == nil {
		x.Value = append([]byte{}, value...)
	}
	return a.yield(x, err)
}

// find is where a block of the attributes lies.
func (a *attributes) find(logical uint64) (int64, error) {
	for r, err := range a.runs(&a.xattr, logical, false) {
		if err != nil {
			return 0, err
		}
		if r.logical <= logical && r.use == fs.Attributes {
			return int64(r.physical+logical-r.logical) * a.f.blockSize, nil
		}
		break
	}
	return 0, a.damaged(a.at, "their block %d is missing", logical)
}

// The magic numbers of blocks of attributes.
const (
	nodeMagic4, leafMagic4 = 0xfebe, 0xfbee
	nodeMagic5, leafMagic5 = 0x3ebe, 0x3bee
	maxNodeLevel           = 5
)

// block tells of the attributes in a block or below it, whose level is given: 0 for a leaf, -1 for the root.
func (a *attributes) block(logical uint64, level int) bool {
	at, err := a.find(logical)
	if err != nil {
		return a.yield(fs.Xattr{}, err)
	}
	if a.seen[logical] {
		return a.yield(fs.Xattr{}, a.damaged(at, "their block %d is there twice", logical))
	}
	a.seen[logical] = true
	b, err := a.f.dev.read(at, int(a.f.blockSize), a.what())
	if err != nil {
		return a.yield(fs.Xattr{}, err)
	}
	head, node, leaf := 12, uint16(nodeMagic4), uint16(leafMagic4)
	if a.f.version5 {
		head, node, leaf = 56, nodeMagic5, leafMagic5
		if why := a.f.checkSeal(b, at, seal{crc: 12, uuid: 32, block: 16, owner: 48, belongs: uint64(a.number)}); why != "" {
			return a.yield(fs.Xattr{}, a.damaged(at, "%s", why))
		}
	}
	switch magic := b.u16(8); {
	case magic == leaf && level <= 0:
		return a.leaf(b, head, at)
	case magic == node && level != 0:
		return a.node(b, head, level, at)
	}
	return a.yield(fs.Xattr{}, a.damaged(at, "the magic number is 0x%04x", b.u16(8)))
}

func (a *attributes) node(b record, head, level int, at int64) bool {
	count, is := int(b.u16(head)), int(b.u16(head+2))
	first := 16
	if a.f.version5 {
		first = 64
	}
	if is == 0 || is > maxNodeLevel || level > 0 && is != level || count > (len(b)-first)/8 {
		return a.yield(fs.Xattr{}, a.damaged(at, "a node has level %d, and %d entries", is, count))
	}
	for n := range count {
		if !a.block(uint64(b.u32(first+8*n+4)), is-1) {
			return false
		}
	}
	return true
}

// leaf tells of the attributes in a leaf.
func (a *attributes) leaf(b record, head int, at int64) bool {
	first := 32
	if a.f.version5 {
		first = 80
	}
	count := int(b.u16(head))
	if count > (len(b)-first)/8 {
		return a.yield(fs.Xattr{}, a.damaged(at, "a leaf has %d entries", count))
	}
	used := 0 // all names and values together fit the block
	for n := range count {
		e := b[first+8*n:]
		in, flags := int(e.u16(4)), e[6]
		size, next := a.entry(b, in, flags, at)
		if used += size; size == 0 || in < first+8*count || used > len(b)-first {
			return a.yield(fs.Xattr{}, a.damaged(at+int64(first+8*n), "entry %d goes beyond the end", n))
		}
		if !next() {
			return false
		}
	}
	return true
}

// entry is how large the name and the value at a place are, 0 for too large, and what tells of them.
func (a *attributes) entry(b record, in int, flags byte, at int64) (int, func() bool) {
	if in+3 > len(b) {
		return 0, nil
	}
	if flags&attrLocal != 0 {
		name := in + 3 + int(b[in+2])
		end := name + int(b.u16(in))
		if end > len(b) {
			return 0, nil
		}
		return end - in, func() bool {
			return a.tell(flags, string(b[in+3:name]), b[name:end], nil, at+int64(in))
		}
	}
	if in+9 > len(b) {
		return 0, nil
	}
	end := in + 9 + int(b[in+8])
	if end > len(b) {
		return 0, nil
	}
	return end - in, func() bool {
		if flags&attrIncomplete != 0 {
			return true
		}
		value, err := a.remote(uint64(b.u32(in)), int64(b.u32(in+4)), at+int64(in))
		return a.tell(flags, string(b[in+9:end]), value, err, at+int64(in))
	}
}

// maxValue is how large a value can be.
const maxValue = 64 << 10

// remote is a value that has blocks of its own, in version 5 each with a header.
func (a *attributes) remote(logical uint64, size int64, at int64) (value []byte, err error) {
	if a.left -= size; size > maxValue || a.left < 0 {
		return nil, a.damaged(at, "a value has %d bytes", size)
	}
	for ; int64(len(value)) < size; logical++ {
		at, err := a.find(logical)
		if err != nil {
			return nil, err
		}
		b, err := a.f.dev.read(at, int(a.f.blockSize), a.what())
		if err != nil {
			return nil, err
		}
		left := size - int64(len(value))
		if a.f.version5 {
			if why := a.checkRemote(b, at, int64(len(value)), left); why != "" {
				return nil, a.damaged(at, "%s", why)
			}
			b = b[56:]
		}
		value = append(value, b[:min(left, int64(len(b)))]...)
	}
	return value, nil
}

func (a *attributes) checkRemote(b record, at, offset, left int64) string {
	if why := a.f.checkSeal(b, at, seal{crc: 12, uuid: 16, block: 40, owner: 32, belongs: uint64(a.number)}); why != "" {
		return why
	}
	if b.u32(0) != 0x5841524d || int64(b.u32(4)) != offset || int64(b.u32(8)) != min(left, int64(len(b)-56)) {
		return fmt.Sprintf("a value begins with 0x%08x, and has %d bytes from %d on", b.u32(0), b.u32(8), b.u32(4))
	}
	return ""
}

// convertACL makes an access control list what getxattr(2) gives.
func convertACL(p record) ([]byte, bool) {
	const user, group, nobody = 2, 8, ^uint32(0)
	if len(p) < 4 || len(p)%12 != 4 || int64(p.u32(0)) != int64(len(p)/12) {
		return nil, false
	}
	acl := []byte{2, 0, 0, 0}
	for p = p[4:]; len(p) > 0; p = p[12:] {
		tag, id := p.u32(0), nobody
		if tag == user || tag == group {
			id = p.u32(4)
		}
		acl = binary.LittleEndian.AppendUint16(acl, uint16(tag))
		acl = binary.LittleEndian.AppendUint16(acl, p.u16(8))
		acl = binary.LittleEndian.AppendUint32(acl, id)
	}
	return acl, true
}
