// Package lvm reads what LVM2 keeps on physical volumes: labels, metadata areas and the
// text in them, and says where on the physical volumes a logical volume lies. It reads
// only, and knows nothing of what is in the volumes.
//
// # Label
//
// One of the first four sectors of a physical volume is its label
// (lib/label/label.h, lib/format_text/layout.h of LVM2). Integers are little-endian.
//
//	byte   0  "LABELONE"
//	       8  u64  number of this sector
//	      16  u32  checksum of bytes 20 to 512
//	      20  u32  offset of the header in this sector, mostly 32
//	      24  "LVM2 001"
//
//	header 0  UUID of the physical volume, 32 letters and digits
//	      32  u64  size of the device in bytes
//	      40  areas of data, then areas of metadata: each u64 offset and u64 size in
//	          bytes; a pair of zeros ends each of the two lists
//
// The first label that is whole counts (_find_lvm_header in lib/label/label.c). All
// checksums are CRC-32 with the usual polynomial, begun with 0xf597a6cf, and never
// inverted (lib/misc/crc.c).
//
// # Metadata area
//
//	byte   0  u32  checksum of bytes 4 to 512
//	       4  " LVM2 x[5A%r0N*>"
//	      20  u32  version, 1
//	      24  u64  offset of the area on the device
//	      32  u64  size of the area
//	      40  the text that holds now:
//	          u64 offset in the area, u64 size, u32 checksum, u32 flags (1: ignored)
//	      64  the text that is being written, which is not looked at
//
// A text that reaches the end of the area goes on behind the header, at byte 512
// (raw_read_mda_header, _read_vg_raw_area in lib/format_text). All areas of a volume group
// should hold the same text; of those that are whole, the one with the highest seqno
// holds.
//
// # Text
//
// The grammar is the one of LVM's configuration files (libdm/libdm-config.c):
//
//	section = name "{" { section | value } "}"
//	value   = name "=" ( scalar | "[" [ scalar { "," scalar } [ "," ] ] "]" )
//	scalar  = integer | float | string | word
//
// with blanks anywhere between, and comments from "#" to the end of the line. The text of
// a volume group is one section of its name. Sizes are in sectors of 512 bytes, and in
// extents of extent_size sectors; extent 0 of a physical volume begins at its sector
// pe_start.
package lvm
