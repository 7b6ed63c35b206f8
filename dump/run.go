package dump

import "encoding/json"

// Run is a line of a run log: what a run was asked for, what it worked on, and what came of it.
type Run struct {
	Version   string            `json:"version" doc:"what dmcow --version prints"`
	Command   []string          `json:"command" doc:"the command line, one string per word"`
	Directory string            `json:"directory" doc:"the current directory, which relative names start from"`
	Host      string            `json:"host" doc:"name of the machine"`
	User      int               `json:"user" doc:"number of the user that it ran as"`
	Start     string            `json:"start" doc:"when the run began, as in 2026-11-28T03:00:00.123Z (RFC 3339, UTC)"`
	End       string            `json:"end" doc:"when it ended"`
	Devices   []RunDevice       `json:"devices" doc:"the devices and files that the command line names, as they are at the end"`
	Digests   map[string]string `json:"digests" doc:"digests of what was exported, by their names in export --hash"`
	Findings  []RunFindings     `json:"findings" doc:"what check or repair found in each store"`
	Status    int               `json:"status" doc:"exit status"`
}

// RunDevice is a device or file of a run.
type RunDevice struct {
	Name   string  `json:"name" doc:"as the command line names it"`
	Kind   string  `json:"kind" doc:"block device, file, logical volume, directory, other or missing"`
	Bytes  uint64  `json:"bytes" doc:"its size, in bytes; 0 if not known"`
	Number *string `json:"number" doc:"major:minor of a block device, or of an active logical volume"`
	Inode  *uint64 `json:"inode" doc:"inode number of a file"`
	On     *string `json:"on" doc:"major:minor of the device with the file system of the file"`
	UUID   *string `json:"uuid" doc:"LVM's UUID of a logical volume"`
}

// RunFindings is what was found on a store.
type RunFindings struct {
	Device string            `json:"device" doc:"the COW device, as it was named"`
	Result string            `json:"result" doc:"sound, invalid, damaged or uninitialized"`
	Counts map[string]uint64 `json:"counts" doc:"number of findings of each rule, by its name"`
}

// Line is the run on a line.
func (r Run) Line() []byte {
	if r.Digests == nil {
		r.Digests = map[string]string{}
	}
	if r.Findings == nil {
		r.Findings = []RunFindings{}
	}
	line, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts and numbers can be encoded
	}
	return append(line, '\n')
}
