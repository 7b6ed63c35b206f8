// Package apply writes what a stream has for a device to the device, where that holds what it must: a delta
// (package delta), or the stream of another tool.
//
// # Windows
//
// The stream comes in windows: so many of its chunks, the same ones whenever it is read ([delta.Head.WindowChunks]).
// A window is read, and all of its data verified; then the chunks of the target are read, and each holds
//
//   - what the delta puts there: it is done already, so that a run again is safe, without any token;
//   - what the delta replaces: it is due;
//   - or neither: the target is not what the delta is for, and nothing of this window is written.
//
// Then what is due is written, in the order of the target. The next windows are read and compared meanwhile. Before
// [Run] returns without an error, all is durable.
//
// # What a cut leaves
//
// Nothing is synced between windows, so that a power cut may leave any of the sectors that were written. A chunk
// of which some have been is torn: it holds neither content. It is to be written again, and must not be taken
// for one that somebody else has changed. Two things prove that it is torn:
//
//   - Some of its sectors hold the new content, and another chunk of its window holds its new content, too, and had
//     another one before. A window is written only when all of its chunks have held what they must. So in a window
//     of which something was written there was nothing foreign. (A chunk with no sector of the new
//     content cannot be torn.)
//   - An undo log has captured it, and has on record that this content was going to be written; and each of its sectors
//     is what was captured or that ([undo.Explain]).
//
// Where all the other chunks of the window hold what the delta replaces, and there is no undo log, nothing
// proves it: the chunk may as well be of another base. It is refused; the error says how many of its sectors hold the
// new content.
//
// # Full deltas
//
// Whatever a full delta does not name is zero. The target must be zero there: that is read as the stream
// comes to it, before the chunks behind are written.
package apply
