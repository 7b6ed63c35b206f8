package inuse

import (
	"encoding/binary"
	"strings"
)

// Target is a target of a device-mapper device, as `dmsetup table` prints it.
type Target struct {
	Type string   // "snapshot", "linear", ...
	Args []string // "254:1", "254:2", "P", "8"
}

// Target is the first target of a device-mapper device; ok is false for other devices, and where
// the table cannot be told, which takes root rights.
func (n Number) Target() (t Target, ok bool) {
	table := n.table()
	if len(table) == 0 {
		return Target{}, false
	}
	return table[0].Target, true
}

// A row is a line of a device-mapper table: a target and the part of the device
// that it serves, in bytes.
type row struct {
	Target
	start, length int64
}

// table is the device-mapper table of a device. It is empty for other devices, and where it
// cannot be told.
func (n Number) table() []row {
	if readLine(n.sysfs("dm/name")) == "" {
		return nil
	}
	control, err := openControl()
	if err != nil {
		return nil
	}
	m := &Mapper{control: control, buf: make([]byte, mapperBuffer)}
	defer m.Close()
	if m.ask(tableStatus, flagStatusTable, n) != nil {
		return nil
	}
	return parseTable(m.buf)
}

func parseTable(buf []byte) (all []row) {
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	data := int(u32(buf[offDataStart:]))
	at, end := data, 0 // of the next target's spec; of the last one
	for range u32(buf[offTargetCount:]) {
		if at < end || at > len(buf)-specSize {
			break
		}
		spec := buf[at:]
		all = append(all, row{
			Target: Target{
				Type: text(spec[specType : specType+specTypeSize]),
				Args: strings.Fields(text(spec[specSize:])),
			},
			start:  int64(u64(spec[specStart:])) * sectorSize,
			length: int64(u64(spec[specLength:])) * sectorSize,
		})
		at, end = data+int(u32(spec[specNext:])), at+specSize
	}
	return all
}
