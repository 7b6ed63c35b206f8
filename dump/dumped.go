package dump

// dumped is what [Exceptions] writes as JSON, by hand: there may be many exceptions. A test holds
// the two to each other.
type dumped struct {
	Device      string         `json:"device" doc:"the COW device, as it was named"`
	SizeSectors uint64         `json:"size_sectors" doc:"its size, in sectors"`
	Header      *dumpedHeader  `json:"header" doc:"the store's header; null on a blank device"`
	Exceptions  []exceptionRow `json:"exceptions" doc:"the exceptions, in the order of the list"`
	State       string         `json:"state" doc:"valid, invalid, uninitialized or damaged"`
	Faults      []string       `json:"faults,omitempty" doc:"what is wrong with the store, for people"`
	Error       string         `json:"error,omitempty" doc:"why the list cannot be read to its end"`
}

type dumpedHeader struct {
	Magic        string `json:"magic" doc:"SnAp, or what is there instead, as text or as a hexadecimal number"`
	Valid        uint64 `json:"valid" doc:"1 for a valid snapshot, 0 for an invalid one"`
	Version      uint64 `json:"version" doc:"version of the disk format: 1"`
	ChunkSectors uint64 `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
}

type exceptionRow struct {
	Area     uint64  `json:"area" doc:"metadata area of the exception"`
	Index    uint64  `json:"index" doc:"its slot in the area"`
	OldChunk uint64  `json:"old_chunk" doc:"chunk of the origin"`
	NewChunk uint64  `json:"new_chunk" doc:"chunk of the COW device that keeps its old data"`
	Chunks   uint64  `json:"chunks,omitempty" doc:"chunks in the run, with --ranges"`
	State    string  `json:"state,omitempty" doc:"live, hidden or stale, with --hidden and --stale"`
	Grade    *string `json:"grade,omitempty" doc:"grade of a stale exception, with --stale: good, doubtful, reused or impossible"`
}
