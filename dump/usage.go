package dump

import (
	"encoding/json"
	"io"
)

// Usage is what programs are told of a store's usage: the fields of the JSON
// object, stable in name and meaning. What cannot be told is null.
type Usage struct {
	Device           string   `json:"device"`
	State            string   `json:"state"`
	ChunkSectors     *uint64  `json:"chunk_sectors"`
	TotalSectors     uint64   `json:"total_sectors"`
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
}

// UsageJSON writes one object, or an array of them where several is set.
func UsageJSON(w io.Writer, all []Usage, several bool) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if several {
		return e.Encode(append([]Usage{}, all...))
	}
	for _, u := range all {
		if err := e.Encode(u); err != nil {
			return err
		}
	}
	return nil
}
