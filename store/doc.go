// Package store is the kernel's persistent exception store in Go: how the
// kernel changes what is on a COW device.
//
// # The engine
//
// [Open] loads a store as the kernel does (persistent_read_metadata), and a
// [Store] has the operations of the kernel's struct dm_exception_store_type
// under their names: prepare exception, commit exception, prepare merge, commit
// merge, drop, usage and status. They write the same bytes in the same order.
// Where they differ from the kernel's, they refuse what the kernel does
// blindly:
//
//   - An exception that could be prepared, but whose commit would lose the
//     snapshot since the next area is not on the device, is refused when it is
//     prepared ([ErrNoNextArea]).
//   - Entries behind the terminator are cleared before an exception is added,
//     where a torn commit explains them and the caller has proved that they change
//     nothing ([Options.HiddenVoid]); the kernel would have them come alive. Any others
//     are refused ([HiddenError]).
//   - A copy that failed costs its own exception, not the snapshot: that is for
//     the caller to drop, as in the kernel it is for dm-snap.c
//     (pending_complete).
//   - After a failed write a Store does nothing more: what is on the device is
//     what was acknowledged, and opening it again goes on from there.
//
// # Beside it
//
// Package look only reads: what is on a device, how its space is used, what the list hides. Packages create,
// merge, save and undo write stores, or use one, for dmcow's commands.
//
// # Why a power cut loses nothing
//
// Data chunks are written before the exceptions that name them, an area is
// written with a flush before it and is durable when the write returns
// ([WriteDevice.WriteDurable]), and the area that the list goes on in is cleared
// before the one before it is full. So whatever part of an area's write is
// durable: exceptions that were there before keep their place and their bytes,
// and those that were added have their data. Sectors of 512 bytes are taken to
// be written whole or not at all.
//
// Functions that this package's comments name are the Linux kernel's, in
// drivers/md/dm-snap-persistent.c, unless another file is named.
package store
