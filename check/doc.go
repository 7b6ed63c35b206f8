// Package check finds what is wrong with a persistent exception store: it looks at
// header, list and accounting, and says of each finding what the kernel does with
// it and what repairs it. It never writes.
//
// # Rules
//
// What it looks for is [Rules]: each is a value with its name, what it means,
// and the function that looks. A new rule is written in one place, next to those
// of its kind: of the header (header.go), of single exceptions (exception.go),
// of exceptions that share a chunk (duplicate.go), of whole areas (area.go), of
// the list as a whole (list.go).
//
// # Findings
//
// [Run] walks once through the metadata and hands out findings as it meets them,
// and walks again to say of duplicates what they share their chunks with. What is wrong with
// an exception is told once, by the first rule that it breaks.
// [Report] counts them and keeps the first few of each rule. Damage is data: an
// error only says that something could not be read.
//
// # Memory
//
// Two bitmaps have a bit for each chunk of the origin and of the COW device that
// an exception has named, as far as the highest below 2^32. Of higher chunks, some
// 131,000 are remembered one by one. Nothing else grows with the store, and no
// number in it makes anything grow.
//
// Rules are those of the Linux kernel's behaviour; function names are those of
// its drivers/md/dm-snap-persistent.c, unless another file is named.
package check
