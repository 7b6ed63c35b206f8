// Package repair repairs what a check finds in a store: it turns findings into a
// plan of edits, and applies that.
//
// # The plan
//
// [Make] writes nothing. It applies the edits that it plans to an image in memory
// of the sectors that they change, and checks that image as it would the device,
// until a look finds nothing more that it can repair. So a plan knows what a check
// will say when it has been applied, and a finding that only shows when another was
// repaired is repaired as well.
//
// What has only one right outcome is repaired by itself. For the rest [Choices] has
// the user's word; without it, the plan says what there is to choose, and what each
// choice loses.
//
// # Why a power cut loses nothing
//
// A plan is a list of steps. Those of a step may be written in any order, and any
// of their sectors may be durable when the power fails; all of them are before the
// next step begins. Within that:
//
//   - The slot of an exception that is kept is never written over: an exception
//     that moves is written to its new slot, where one was that is dropped, before
//     its old one is cleared. In between it stands in the list twice, which the kernel
//     reads as once.
//   - Slots that the list ends with are cleared area by area, the last first, and of
//     an area the last sector first, so that what a cut leaves behind the list's end looks
//     like a commit that was torn, and is cleared when the repair is run again.
//   - Of two exceptions of one old chunk, the one that is dropped is first replaced by
//     a copy of the other: from then on there is one, in whatever order they stand.
//   - Exceptions of one old chunk of which the user has yet to choose do not move:
//     cut off, another one might be the first or the last.
//   - A gap in the list is closed by copies of the exception next to it, and those are
//     dropped as what stands in the list twice. When it is closed, both of two exceptions
//     of one old chunk may be live until the next step, as they would be for a kernel that
//     goes on writing.
//   - Chunks that no exception names are the only ones that data is written to, and
//     it is there before an exception names it.
//
// So what the plan keeps can be read at any moment as it could before, and the same
// repair, run again, ends in a store that has the same.
package repair
