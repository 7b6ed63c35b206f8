// Package view is a snapshot as the device that it was: origin and COW store together,
// to be read at any offset, and to be written through the store engine. It needs no
// kernel driver.
//
// # Reading
//
// A chunk that has an exception is read from the COW device, any other from the origin
// (snapshot_map in dm-snap.c). Origin and COW device must not change meanwhile, but by
// the view itself: a chunk of the origin that the kernel is about to overwrite gets its
// exception only then.
//
// Exceptions are kept in a table in memory ([Open]), of some 12 bytes each and never more
// than 32, in which a look takes the same time whatever the store's size.
//
// # What is certain
//
// A damaged store can be read, too, where the damage leaves no doubt what a chunk of the
// snapshot holds. What a finding leaves in doubt stands in its rule (check.Meaning):
//
//   - the chunk that it names, and any other whose exception has the same data chunk;
//   - each chunk without an exception, where one may be lost: an exception that points off
//     the origin, is there twice, or was overwritten, had another old chunk, and nobody knows
//     which; an area that cannot be read may have held any.
//
// Reading those gives an [*UncertainError], unless the caller wants what there is all the same
// ([Options.DamagedOK]). What stands behind the list's end is in doubt unless the origin
// shows that it changes nothing. An exception whose old chunk does not lie on the origin counts
// for nothing, as for the kernel.
//
// The format has no checksums: an old chunk that damage made another one, of the origin and
// without an exception, leaves no sign.
//
// # Writing
//
// A chunk that has an exception is written in place. Any other gets one: the next free
// chunk is filled from the origin, as far as it is not written over, and is then added to
// the store. Exceptions are committed by [View.Sync], many with one write, and when many
// have gathered; before that, a crash may lose them, as it may lose what a disk has in its
// cache, and the chunks read as they did before. A store that is full refuses the write
// (store.ErrNoRoom), and is as good as before; the kernel would drop the snapshot.
package view
