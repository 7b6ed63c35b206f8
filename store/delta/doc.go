// Package delta writes and reads deltas: what makes a copy of one device into another, in the chunks in which
// they differ.
//
// # A delta is a store
//
// Its base is what the receiver has, and its snapshot is what it shall have. It is written front to back, so
// that a pipe will do, and what is good for stores is good for it: the kernel loads it over the copy, and
// merges it. What makes it a delta stands in data chunks that no exception names; to the kernel they are
// lost space.
//
//	chunk   0        1        2                                   S+1      S+2
//	      +--------+--------+-----------+---------+-------- - - -+--------+---------+------ - - -+- - -+-----+
//	      | header | area 0 | beginning | digests |     data     | area 1 | digests |    data    |     | end |
//	      +--------+--------+-----------+---------+-------- - - -+--------+---------+------ - - -+- - -+-----+
//	                         1 chunk or  1 chunk                           1 chunk                      1 chunk
//	                         more
//
// A stripe is a metadata area with the E data chunks behind it. In each stripe the first data chunk holds digests;
// in stripe 0 the beginning stands before it. All other data chunks are the exceptions' data, in the order of
// the list, and behind the last of them is the end. Exceptions stand in the order of the origin. So every chunk
// number follows from the beginning alone ([Layout]), and a reader refuses a list that says otherwise.
//
// An area has E exceptions, and a stripe has room for E - 1 chunks of data: so data lags behind its exceptions, by
// one chunk more with each stripe, and a delta has stripes behind the end of its list. Their areas are
// zero.
//
// # The beginning
//
//	byte  0        16       24      28        32           40         48          56            64
//	     +--------+--------+-------+---------+------------+----------+-----------+-------------+
//	     | magic  | device | flags | version | exceptions | bytes of | moment of | moment of   |
//	     |        | size   |       |         |            | data     | the base  | the source  |
//	     +--------+--------+-------+---------+------------+----------+-----------+-------------+
//	     | SHA-256 of the beginning   | chunk size | length | base name | base UUID | source name | source UUID
//	     +----------------------------+------------+--------+-----------+-----------+-------------+------ - - -
//	     64                           96           100      104
//
// All fields are little-endian. Its first 40 bytes are those of any label (package label). The lowest byte of the flags is the
// [Kind]; flag 1<<8 says that equal chunks were kept. Moments are seconds since 1970, or 0. The chunk size is the
// header's once more, in sectors. The length is the beginning's, in bytes; its SHA-256 is taken with zeros in
// the place of the SHA-256. Names and UUIDs are each a length of two bytes and then so many bytes, at most
// [MaxName]. Zeros fill the last chunk.
//
// # Digests
//
// Slot i of a digest chunk, of 16 bytes, belongs to the i-th data chunk of its stripe, counted from 0. Where
// that has data, the slot begins with 8 bytes of the digest of what must be there before, and ends
// with 8 of what will be there after: each is the beginning of
//
//	SHA-256(old chunk, as 8 bytes || content of the chunk)
//
// so that a digest holds for its place alone: a chunk of the same content elsewhere has another one. Of a chunk at
// the device's end the content is as long as the device goes; zeros fill the chunk in the delta.
//
// The slot of the digest chunk itself holds the stripe's check, which is the first 16 bytes of
//
//	SHA-256(check of the stripe before || area || digest chunk with zeros in this slot)
//
// where stripe 0 has the beginning's SHA-256 in front. Other slots, such as the end's, are zero. So whoever
// reads from the front knows of each exception that it is right before he has read its data, and of
// the data before he writes it anywhere.
//
// # The end
//
//	byte  0        16           24         56
//	     +--------+------------+----------+-------- - - -+
//	     | magic  | exceptions | SHA-256  |    zeros     |
//	     |        |            | of all   |              |
//	     +--------+------------+----------+-------- - - -+
//
// "Of all" is a SHA-256 over one SHA-256 for each chunk before the end, in order: of a data chunk the one whose beginning stands
// in its slot as what will be there after, of any other chunk its content's. So no byte of data is read or
// hashed twice.
//
// # Always the same
//
// The same contents and names give the same bytes: there is no time of day in a delta, and nothing random. So a stream that was cut off can be
// made again and gone on with.
package delta

import "dmcow/format"

// Kind is what a delta makes of what.
type Kind uint8

// The kinds. What a delta's base and source are follows from it.
const (
	Forward Kind = 1 + iota // a snapshot into its origin
	Back                    // the origin into its snapshot
	Between                 // a snapshot into another one of the same origin
	Full                    // zeros into a snapshot
)

// String is the kind's name.
func (k Kind) String() string {
	return map[Kind]string{Forward: "forward", Back: "back", Between: "between", Full: "full"}[k]
}

// MaxChunk is the largest chunk size of a delta, in sectors.
const MaxChunk = 1024

// MaxName is the length of a name or UUID in a beginning, in bytes. Of a longer one the end is kept.
const MaxName = 1024

// Side is the base or the source of a delta.
type Side struct {
	Name   string // VG/LV or a path, as the sender named it; may be empty
	UUID   string // of the logical volume; may be empty
	Moment int64  // that it shows, in seconds since 1970; 0 where it is not known
}

// Head is what the beginning of a delta says.
type Head struct {
	Kind         Kind
	AllChunks    bool // chunks that are equal on both sides were kept
	Geometry     format.Geometry
	Size         format.Bytes // of the device that is changed
	Count        uint64       // exceptions
	Bytes        format.Bytes // of data: the chunks, as far as the device goes
	Base, Source Side
}
