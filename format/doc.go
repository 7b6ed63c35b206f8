// Package format is the on-disk format of a device-mapper persistent
// exception store: the COW device of a snapshot. It holds the codec, the
// geometry and the walk through the metadata. It knows no files and no policy.
//
// # The store
//
// A COW device is divided into chunks of chunk_size sectors of 512 bytes, a
// power of two (see [CheckChunkSectors]). N is the number of whole chunks; what
// is left over behind the last of them is not used. All fields are
// little-endian.
//
//	chunk   0        1         2 ... S    S+1       S+2 ... 2S   2S+1
//	      +--------+---------+----------+---------+------------+---------+--
//	      | header | area 0  |   data   | area 1  |    data    | area 2  | ...
//	      +--------+---------+----------+---------+------------+---------+--
//	                          E chunks              E chunks
//
//	E = chunk bytes / 16   exceptions in a metadata area
//	S = E + 1              the stride from one area to the next
//	A(k) = 1 + k*S         the chunk that is area k (area_location)
//
// A chunk c is metadata when c % S == 1 (skip_metadata). Chunk 0 is the header;
// all other chunks from 2 on hold data: the old content of origin chunks, or
// what was written to the snapshot.
//
// # The header
//
//	byte  0        4        8        12         16              chunk bytes
//	     +--------+--------+---------+------------+--------- - - ---+
//	     | magic  | valid  | version | chunk_size |     zeros       |
//	     +--------+--------+---------+------------+--------- - - ---+
//	      "SnAp"    0 or 1     1       sectors
//
// Magic 0 makes the kernel take the device for a new one and write an empty
// store; any other magic than [Magic] makes it refuse (read_header). A valid of
// 0 loads as an invalid snapshot; any other value counts as valid
// (persistent_read_metadata). A version other than 1 is refused. The padding is
// written as zeros (write_header) and ignored on reading.
//
// # The areas
//
//	byte  0            8            16           24           32
//	     +------------+------------+------------+------------+--- - -
//	     | old_chunk  | new_chunk  | old_chunk  | new_chunk  |
//	     +------------+------------+------------+------------+--- - -
//	      exception 0               exception 1
//
// An exception says that chunk old_chunk of the origin has its snapshot content
// in chunk new_chunk of the COW device. The first exception with new_chunk 0 is
// the terminator: it ends the list, whatever its old_chunk. An area without a
// terminator is full, and the list goes on in the next (insert_exceptions).
// Nothing behind the terminator is part of the list: not the rest of its area,
// nor any later area. But the kernel reads areas whole and writes them back with
// each commit: entries behind the terminator in its area, hidden ones, come
// alive when the gap before them fills. Later areas are cleared before use
// (zero_disk_area).
//
// Only the low 56 bits of new_chunk are a chunk number to the kernel: it keeps
// the length of a run in the others (dm_chunk_number in dm-exception-store.h).
//
// # The next free chunk
//
// On loading, the next free chunk is the highest new_chunk + 1, added in 64
// bits, at least 2, and one more where that is a metadata chunk
// (insert_exceptions, skip_metadata). An exception takes it if it lies wholly
// on the device (persistent_prepare_exception). The exception that fills its
// area is committed only if the next area can be cleared, which it cannot when
// that does not lie on the device: then the snapshot is lost
// (persistent_commit_exception).
//
// # Kernels
//
// The format has not changed since Linux 2.6. What is said of the kernel here, and
// in package check, was seen on Linux 5.10, 6.1, 6.12 and 7.2, unless versions are
// named. They differ in what they do with a chunk of the origin that has two
// exceptions: up to 6.1 the kernel keeps them in the order of old chunks
// (dm_insert_exception in dm-snap.c); from 6.12 on an exception whose chunk comes after
// all others of its 256 chunks is put in front of them. Which one is found depends
// on that, and so does whether a merge finds an exception that is repeated within
// a run (remove_single_exception_chunk).
//
// Functions that this package's comments name are the Linux kernel's, in
// drivers/md/dm-snap-persistent.c, unless another file is named.
package format
