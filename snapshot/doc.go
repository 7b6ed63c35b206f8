// Package snapshot is a snapshot as a whole: its COW device, its origin, the other snapshots of that
// origin, and the undo log of a change. Whoever uses it names devices as people do, and says what for;
// it finds and opens what that takes, makes sure that nothing is lost, and does it, or refuses.
//
// # Sessions
//
// A [Session] is a look at this machine: what a name stands for, a path or VG/LV, is found out once.
// What a user should know meanwhile are its [Note]s. It asks nothing and prints nothing.
//
// # Plans
//
// What changes something is planned first: [Session.PlanMerge], [Session.PlanRepair],
// [Session.PlanRevalidate], [Session.PlanInvalidate], [Session.PlanInitialize], [Session.PlanCreate] and
// [Session.PlanExport] open what they need, look at it, and return a value that says what would be done;
// its Do does it. A plan of a dry run opens nothing for writing, and cannot be done. There is no other
// way to any of them from here, so that no check can be left out.
//
// [Session.Look], [Session.Survey], [Session.Usage], [Session.Check] and [Session.Inventory] only look.
// [Session.Read], [Session.List] and [Session.Write] show a snapshot as a device, a [Snapshot].
//
// # Refusals
//
// Every refusal is a [*Refusal]: which device, what is wrong with it, a [Code], and what can be done
// about it. What is refused has written nothing; what is interrupted says how it goes on.
package snapshot
