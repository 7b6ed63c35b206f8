// Package merge puts the chunks of a snapshot back into its origin, off line, as
// the kernel's snapshot-merge target does.
//
// [Steps] goes the kernel's way: the last run of consecutive chunks is copied, the
// origin is flushed, and the run's exceptions are cleared with one durable write.
// [Run] comes to the same end in batches. A batch is as many exceptions from the
// end of the list as memory allows. Their chunks are copied in the order of the
// origin, in large transfers; then the origin is synced; then the exceptions are
// cleared.
//
// # Why it can be cut off anywhere
//
// What the snapshot shows is, for each chunk of the origin, the chunk that its
// exception names, or the origin's where it has none. A merge does not change
// that, at any moment:
//
//   - While a batch is copied, all of its exceptions are there, so that nobody
//     looks at what was written to the origin.
//   - Its exceptions are cleared when the copies are durable: then it does not
//     matter which of them are there. They go from the list's end, area by area, so
//     that a process that is killed leaves a list that ends earlier, and nothing
//     behind its end.
//   - A power cut may leave some sectors cleared and others not. So where more than two
//     areas are cleared, the last sector of the second goes first, durably: the list ends
//     there, and nobody reads the areas behind. Those are cleared next, then the second,
//     then the first. What a cut leaves behind the list's end is then what a torn commit
//     leaves, in an area whose last sector is clear or with a clear area behind it
//     ([look.Behind]); and it equals the origin, so that it proves itself (check does
//     that). A later merge clears it with the list.
//
// # Chunks that cannot be read
//
// The format keeps only a beginning of the list. So where chunks of a batch cannot
// be read, their exceptions are copied over the batch's first ones, which have been
// merged, durably; then what is behind is cleared. Between these two the list has
// some exceptions twice, old and new chunk alike, which changes nothing that it
// shows, and a later rescue takes them for one. Exceptions past the snapshot's end, where
// the user wants the others merged, are left in the same way.
//
// Positions in the list count exceptions from its beginning.
package merge
