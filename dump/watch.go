package dump

import (
	"encoding/json"
	"io"
)

// Watched is a snapshot at a moment. What is not known is null.
type Watched struct {
	Time           string   `json:"time" doc:"when it was looked at, as in 2026-11-28T03:00:00Z (RFC 3339, UTC)"`
	Name           string   `json:"name" doc:"VG/LV, the name of a device-mapper device, or the store as it was named"`
	Origin         *string  `json:"origin" doc:"the origin, as VG/LV or as a path"`
	Active         bool     `json:"active" doc:"whether the kernel has the snapshot loaded"`
	Merging        bool     `json:"merging" doc:"whether it is being merged into its origin"`
	State          string   `json:"state" doc:"valid, invalid, overflow, merge failed, uninitialized, damaged, unreadable, or gone"`
	Percent        *float64 `json:"percent" doc:"how full the store is, in percent, as lvs shows it: 100 for a lost snapshot"`
	TotalSectors   *uint64  `json:"total_sectors" doc:"size of the COW device, in sectors"`
	ChunkSectors   *uint64  `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
	Exceptions     *uint64  `json:"exceptions" doc:"exceptions that the store has; of a merge, those that are left to merge"`
	FreeChunks     *uint64  `json:"free_chunks" doc:"exceptions that can still be stored before the kernel drops the snapshot"`
	PerSecond1Min  *float64 `json:"chunks_per_second_1m" doc:"chunks that were stored, or merged, each second of the last minute"`
	PerSecond15Min *float64 `json:"chunks_per_second_15m" doc:"the same over fifteen minutes"`
	SecondsLeft    *float64 `json:"seconds_left" doc:"when it will be full, or merged, if it goes on like this; null also if that is never"`
	Error          *string  `json:"error" doc:"why it cannot be read; null if it can"`
}

// WatchedCSV writes a line for each snapshot, and before that the names of the columns, where they are asked for.
func WatchedCSV(w io.Writer, head bool, all []Watched) error { return writeRows(w, head, all) }

// WatchedJSON writes an object a line for each snapshot.
func WatchedJSON(w io.Writer, all []Watched) error {
	for _, x := range all {
		line, err := json.Marshal(x)
		if err == nil {
			_, err = w.Write(append(line, '\n'))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
