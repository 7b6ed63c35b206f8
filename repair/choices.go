package repair

import "dmcow/format"

// Choices are the user's word on what can be repaired in more than one way. The zero
// value has none.
type Choices struct {
	// Warnings are repaired, too.
	Warnings bool
	// Hidden is what becomes of exceptions behind the list's end.
	Hidden Hidden
	// Rebuild has lost and damaged exceptions be what the entries around them suggest.
	Rebuild bool
	// Drop has entries dropped that no snapshot can be served by: the snapshot
	// reads the origin's chunks there.
	Drop bool
	// Keep is which of several exceptions of one old chunk is kept, alike or not.
	Keep Keep
	// Unshare has an exception that shares its data chunk be given a copy.
	Unshare bool
	// Truncate cuts a list that leads past the device's end.
	Truncate bool
	// Header is what a damaged header is replaced by; nil where nothing was said.
	Header *Header
}

// Hidden is what becomes of exceptions behind the list's end.
type Hidden string

// What becomes of them.
const (
	AskHidden  Hidden = ""
	KeepHidden Hidden = "keep" // the gap before them is closed
	DropHidden Hidden = "drop" // they are cleared
)

// Keep is which of several exceptions is kept, in the list's order.
type Keep string

// Which one it is.
const (
	AskWhich  Keep = ""
	KeepFirst Keep = "first"
	KeepLast  Keep = "last"
)

// Header is what a new header says.
type Header struct {
	Geometry format.Geometry
	Valid    bool
}
