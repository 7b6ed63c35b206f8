package snapshot

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
)

// Piece is a stretch of a file or block device.
type Piece struct {
	File         string
	Offset, Size format.Bytes
}

// Pieces are a COW device that is kept in several pieces, in order, and the name that stands for it.
type Pieces struct {
	Name string
	All  []Piece
}

// pieces are those that a name stands for, and the session that keeps open what they are on.
type pieces struct {
	Pieces
	session *Session
}

// open opens them for reading. The error is a refusal.
func (p *pieces) open() (*device.Device, error) {
	parts, err := p.parts(device.OpenUnlocked)
	if err != nil {
		return nil, err
	}
	d, err := device.Join(p.Name, parts)
	if err != nil {
		return nil, refuse(p.Name, Unreadable, err)
	}
	d.Lock()
	return d, nil
}

// openToWrite opens them for writing. The error is a refusal.
func (p *pieces) openToWrite() (*device.Writable, error) {
	parts, err := p.parts(func(file string) (*device.Device, error) {
		w, err := device.OpenShared(file)
		if err != nil {
			return nil, err
		}
		return &w.Device, nil
	})
	if err != nil {
		return nil, err
	}
	w, err := device.JoinWritable(p.Name, parts)
	if err != nil {
		return nil, refuse(p.Name, Unable, err)
	}
	if by := w.Holders(); len(by) > 0 {
		w.Close()
		return nil, refuse(p.Name, Unable, &inuse.BusyError{By: by})
	}
	return w, nil
}

// parts are what the device is joined from. Each file is opened once, until the session ends.
func (p *pieces) parts(open func(string) (*device.Device, error)) (parts []device.Part, err error) {
	opened := map[string]*device.Device{}
	var earlier []*device.Device
	for _, x := range p.All {
		d := opened[x.File]
		if d == nil {
			if d, err = open(x.File); err != nil {
				return nil, refuse(x.File, Unreadable, err)
			}
			opened[x.File] = d
			p.session.opened = append(p.session.opened, d)
		}
		if size := format.Bytes(d.Size()); x.Offset > size || x.Size > size-x.Offset {
			return nil, refusef(x.File, Unreadable, "has %d bytes: the piece of %d bytes from byte %d on is not all there", size, x.Size, x.Offset)
		}
		part := device.Part{Length: int64(x.Size), Stripes: []device.Stripe{{On: d, Start: int64(x.Offset)}}}
		own, err := device.Join(x.File, []device.Part{part})
		if err != nil {
			return nil, refuse(x.File, Unable, err)
		}
		for i, other := range earlier {
			if own.Overlaps(other) {
				return nil, refuse(x.File, WrongUse, fmt.Errorf("pieces %d and %d overlap", i+1, len(earlier)+1))
			}
		}
		earlier, parts = append(earlier, own), append(parts, part)
	}
	return parts, nil
}
