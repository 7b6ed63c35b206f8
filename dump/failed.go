package dump

import (
	"fmt"
	"io"

	"dmcow/format"
)

// FailedHead is the first line of a list of chunks that could not be merged.
const FailedHead = "old_chunk,new_chunk,origin_sector,sectors"

// FailedCSV writes the rows of such a list. A chunk has so many sectors.
func FailedCSV(w io.Writer, all []format.Exception, chunk format.Sectors) error {
	for _, x := range all {
		if _, err := fmt.Fprintf(w, "%d,%d,%d,%d\n", x.Old, x.New, format.Sectors(x.Old)*chunk, chunk); err != nil {
			return err
		}
	}
	return nil
}

type failedChunk struct {
	OldChunk     uint64 `json:"old_chunk" doc:"chunk of the origin that was not merged"`
	NewChunk     uint64 `json:"new_chunk" doc:"chunk of the COW device that cannot be read"`
	OriginSector uint64 `json:"origin_sector" doc:"where the chunk begins on the origin, in sectors"`
	Sectors      uint64 `json:"sectors" doc:"size of the chunk, in sectors"`
}
