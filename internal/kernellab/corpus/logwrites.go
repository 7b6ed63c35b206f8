package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
)

// writes ends the log and reads it.
func (b *rig) writes() []Write {
	b.Helper()
	b.unload()
	b.log.Remove(b)
	log, err := os.ReadFile(b.logFile)
	if err != nil {
		b.Fatal(err)
	}
	writes, err := parseLog(log)
	if err != nil {
		b.Fatal(err)
	}
	return writes
}

// Flags of an entry in the log of dm-log-writes (log_write_entry in
// dm-log-writes.c).
const (
	logFlush = 1 << iota
	logFUA
	logDiscard
	logMark
	logMetadata
)

var flagNames = []struct {
	flag uint64
	name string
}{{logFlush, "FLUSH"}, {logFUA, "FUA"}, {logDiscard, "DISCARD"}, {logMetadata, "METADATA"}}

// parseLog reads what dm-log-writes wrote: a sector with its superblock, then
// for each entry a sector with its description, and the data written.
func parseLog(log []byte) ([]Write, error) {
	const magic = 0x6a736677736872
	if len(log) < 512 || binary.LittleEndian.Uint64(log) != magic {
		return nil, fmt.Errorf("not a log of dm-log-writes")
	}
	entries := binary.LittleEndian.Uint64(log[16:])
	sectorSize := uint64(binary.LittleEndian.Uint32(log[24:]))
	at := sectorSize
	var writes []Write
	for range entries {
		if at+sectorSize > uint64(len(log)) {
			return nil, fmt.Errorf("the log ends early")
		}
		w, stored := parseEntry(log[at:], sectorSize)
		at += sectorSize + stored
		if at > uint64(len(log)) {
			return nil, fmt.Errorf("the log ends early")
		}
		if w.Mark != endMark {
			writes = append(writes, w)
		}
	}
	return writes, nil
}

// endMark is what the target itself adds when it is removed.
const endMark = "dm-log-writes-end"

// parseEntry reads the entry that b begins with, and tells how many bytes of
// data follow its sector. A mark's words are in the sector itself.
func parseEntry(b []byte, sectorSize uint64) (w Write, stored uint64) {
	le := binary.LittleEndian
	sector, sectors, flags, length := le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	if flags&logMark != 0 {
		return Write{Mark: strings.TrimRight(string(b[32:32+length]), "\x00")}, 0
	}
	var names []string
	for _, f := range flagNames {
		if flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	w = Write{Sector: sector, Sectors: sectors, Flags: strings.Join(names, "+")}
	if flags&logDiscard == 0 && sectors > 0 {
		stored = sectors * sectorSize
		if stored > uint64(len(b))-sectorSize {
			return w, stored // the caller sees that it ends early
		}
		data := b[sectorSize : sectorSize+stored]
		w.SHA256 = digest(data)
		w.Zero = len(bytes.Trim(data, "\x00")) == 0
	}
	return w, stored
}
