package dump

import (
	"encoding/json"
	"io"
)

// Usage is what programs are told of a store's usage: the fields of the JSON
// object, stable in name and meaning. What cannot be told is null. Of a store that cannot be
// read to the list's end, the state is "unreadable", and Error says why.
type Usage struct {
	Device           string   `json:"device"`
	State            string   `json:"state"`
	ChunkSectors     *uint64  `json:"chunk_sectors"`
	TotalSectors     *uint64  `json:"total_sectors"`
	AllocatedSectors *uint64  `json:"allocated_sectors"`
	MetadataSectors  *uint64  `json:"metadata_sectors"`
	Percent          *float64 `json:"percent"`
	Exceptions       *uint64  `json:"exceptions"`
	Areas            *uint64  `json:"areas"`
	NextFreeChunk    *uint64  `json:"next_free_chunk"`
	FreeChunks       *uint64  `json:"free_chunks"`
	LeakedChunks     *uint64  `json:"leaked_chunks"`
	MinimumSectors   *uint64  `json:"minimum_sectors"`
	MaximumSectors   *uint64  `json:"maximum_sectors"`
	Status           *string  `json:"status"`
	FilledPercent    *float64 `json:"filled_percent"` // by the list, also of a snapshot that is lost
	Error            *string  `json:"error"`
}

// UsageJSON writes an array of objects.
func UsageJSON(w io.Writer, all []Usage) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(append([]Usage{}, all...))
}
