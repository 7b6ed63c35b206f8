package inuse

import (
	"encoding/binary"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const listDevices = mapperRequest | 2

// A Mapper asks device-mapper again and again, through one open file. It is not for several goroutines.
type Mapper struct {
	control *os.File
	buf     []byte
}

// OpenMapper opens device-mapper, which takes root rights. The error is ErrNoMapper, or of the file.
func OpenMapper() (*Mapper, error) {
	control, err := openControl()
	if err != nil {
		return nil, err
	}
	m := &Mapper{control: control, buf: make([]byte, mapperBuffer)}
	if _, err := m.Devices(); err != nil {
		m.Close()
		return nil, &fs.PathError{Op: "ask", Path: control.Name(), Err: err}
	}
	return m, nil
}

// Close closes it.
func (m *Mapper) Close() error { return m.control.Close() }

// Devices is a text that is the same as long as there are the same devices, and nothing has happened to one that
// device-mapper would tell who waits for events.
func (m *Mapper) Devices() (string, error) {
	if err := m.ask(listDevices, 0, Number{}); err != nil {
		return "", err
	}
	u32 := binary.NativeEndian.Uint32
	start, end := u32(m.buf[offDataStart:]), u32(m.buf[offDataSize:])
	if start > end || int(end) > len(m.buf) {
		return "", unix.EIO
	}
	return string(m.buf[start:end]), nil
}

// A Loaded is a device with its table.
type Loaded struct {
	Mapping
	Target Target // its first
}

// Tables are all devices, with their tables: one question each, and nothing is read from sysfs.
func (m *Mapper) Tables() (all []Loaded, err error) {
	devices, err := m.Devices()
	if err != nil {
		return nil, err
	}
	for _, n := range listedNumbers([]byte(devices)) {
		if m.ask(tableStatus, flagStatusTable, n) != nil {
			continue // it is gone since
		}
		x := Loaded{Mapping: Mapping{
			Number: n, UUID: text(m.buf[offUUID:][:uuidMost+1]), Suspended: binary.NativeEndian.Uint32(m.buf[offFlags:])&flagSuspended != 0,
		}}
		x.Name, x.Target = m.answered()
		all = append(all, x)
	}
	return all, nil
}

// listedNumbers are the devices of a list of them: each entry has the device, where the next entry is from there, 0 for
// none, and a name.
func listedNumbers(list []byte) (all []Number) {
	const entry = 12
	for len(list) >= entry {
		device, next := binary.NativeEndian.Uint64(list), int(binary.NativeEndian.Uint32(list[8:]))
		if device == 0 {
			break // there are no devices
		}
		all = append(all, Number{unix.Major(device), unix.Minor(device)})
		if next < entry || next > len(list) {
			break
		}
		list = list[next:]
	}
	return all
}

// Status is what the first target of a device says of itself: its type, and the words of its status line; and the
// device's name. It does not wait for the device, nor read from it.
func (m *Mapper) Status(n Number) (name string, t Target, err error) {
	if err := m.ask(tableStatus, 0, n); err != nil {
		return "", Target{}, err
	}
	name, t = m.answered()
	return name, t, nil
}

// answered is the name in an answer, and the first target.
func (m *Mapper) answered() (name string, t Target) {
	if rows := parseTable(m.buf); len(rows) > 0 {
		t = rows[0].Target
	}
	return text(m.buf[offName:][:nameMost+1]), t
}

// ask has device-mapper answer a request in the buffer, which grows to what the answer takes.
func (m *Mapper) ask(request uintptr, flags uint32, n Number) error {
	for {
		beginRequest(m.buf, flags|flagNoFlush)
		binary.NativeEndian.PutUint64(m.buf[offDevice:], unix.Mkdev(n.Major, n.Minor))
		if err := askOn(m.control, request, m.buf); err != nil {
			return err
		}
		if binary.NativeEndian.Uint32(m.buf[offFlags:])&flagBufferFull == 0 {
			return nil
		}
		if len(m.buf) >= mapperMost {
			return unix.E2BIG
		}
		m.buf = make([]byte, 2*len(m.buf))
	}
}

// IsSnapshot reports whether a target keeps a persistent or transient snapshot, or merges one.
func (t Target) IsSnapshot() bool { return t.Type == "snapshot" || t.Type == "snapshot-merge" }

// SnapshotStatus is the status line of a snapshot: what is allocated, in all, and of that metadata, in sectors; or a
// word in their place, such as Invalid. ok is false for what is neither.
func (t Target) SnapshotStatus() (allocated, total, metadata uint64, word string, ok bool) {
	if !t.IsSnapshot() || len(t.Args) == 0 {
		return 0, 0, 0, "", false
	}
	of, rest, figures := strings.Cut(t.Args[0], "/")
	if !figures {
		return 0, 0, 0, strings.Join(t.Args, " "), true
	}
	if len(t.Args) < 2 {
		return 0, 0, 0, "", false
	}
	for i, s := range []string{of, rest, t.Args[1]} {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return 0, 0, 0, "", false
		}
		*[]*uint64{&allocated, &total, &metadata}[i] = n
	}
	return allocated, total, metadata, "", true
}
