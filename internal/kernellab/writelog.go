package kernellab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A WriteLog is a device on top of another one, where dm-log-writes notes every
// write.
type WriteLog struct {
	*Device
	file string
}

// LogEntry is a write, a flush or a discard that was noted, or a mark.
type LogEntry struct {
	Sector, Sectors               uint64
	Flush, FUA, Discard, Metadata bool   // flags; a flush alone has no sectors
	Data                          []byte // none of a discard
	Mark                          string // where it is one: nothing else is set then
}

// NewWriteLog puts a log on the block device at path, with room for data of so
// many sectors.
func NewWriteLog(t testing.TB, path string, room uint64) *WriteLog {
	t.Helper()
	return NewWriteLogNamed(t, "logged", path, room)
}

// NewWriteLogNamed is NewWriteLog for one of several logs that a test keeps at
// once, which differ in their names.
func NewWriteLogNamed(t testing.TB, name, path string, room uint64) *WriteLog {
	t.Helper()
	file := File(t, name, room)
	return &WriteLog{file: file, Device: Create(t, name,
		fmt.Sprintf("0 %d log-writes %s %s", Size(t, path), path, Loop(t, file)), false)}
}

// Flush has the device flushed, which the log notes. Of writes that were not flushed when the log
// ends, dm-log-writes notes those that completed last before others that it has yet to write down
// (log_writes_dtr).
func (l *WriteLog) Flush(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile(l.Path, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	Must(t, err)
}

// End removes the log's device and returns what it has noted.
func (l *WriteLog) End(t testing.TB) []LogEntry {
	t.Helper()
	l.Remove(t)
	log, err := os.ReadFile(l.file)
	Must(t, err)
	entries, err := parseWriteLog(log)
	Must(t, err)
	return entries
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

var errShortLog = errors.New("the log ends early")

// parseWriteLog reads what dm-log-writes wrote: a sector with its superblock,
// then for each entry a sector with its description, and the data written.
func parseWriteLog(log []byte) ([]LogEntry, error) {
	const magic = 0x6a736677736872
	if len(log) < SectorSize || binary.LittleEndian.Uint64(log) != magic {
		return nil, errors.New("not a log of dm-log-writes")
	}
	count := binary.LittleEndian.Uint64(log[16:])
	sectorSize := uint64(binary.LittleEndian.Uint32(log[24:]))
	if sectorSize < SectorSize || sectorSize > uint64(len(log)) {
		return nil, errShortLog
	}
	log = log[sectorSize:]
	var entries []LogEntry
	for range count {
		if uint64(len(log)) < sectorSize {
			return nil, errShortLog
		}
		e := parseLogEntry(log)
		log = log[sectorSize:]
		if e.Mark == "" && !e.Discard {
			size := e.Sectors * sectorSize
			if size > uint64(len(log)) {
				return nil, errShortLog
			}
			e.Data, log = log[:size], log[size:]
		}
		if e.Mark != endMark {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// endMark is what the target itself adds when it is removed.
const endMark = "dm-log-writes-end"

func parseLogEntry(b []byte) LogEntry {
	le := binary.LittleEndian
	flags := le.Uint64(b[16:])
	if flags&logMark != 0 {
		length := min(le.Uint64(b[24:]), SectorSize-32)
		return LogEntry{Mark: strings.TrimRight(string(b[32:32+length]), "\x00")}
	}
	return LogEntry{
		Sector: le.Uint64(b), Sectors: le.Uint64(b[8:]),
		Flush: flags&logFlush != 0, FUA: flags&logFUA != 0,
		Discard: flags&logDiscard != 0, Metadata: flags&logMetadata != 0,
	}
}
