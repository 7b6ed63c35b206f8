// Package snapshot is a snapshot as a whole: its COW device, its origin, its siblings, and the undo log of a
// change. A program names devices as people do, and says what for; the package finds and opens what that
// takes, makes sure that nothing is lost, and does it, or refuses.
//
//	s := snapshot.Open(snapshot.Options{})
//	defer s.Close()
//	m, err := s.PlanMerge(snapshot.MergeRequest{Request: snapshot.Request{COW: "vg/snap"}, Undo: "log"})
//	if err != nil {
//		return err // a *Refusal: nothing was written
//	}
//	defer m.Close()
//	fmt.Println(m.Chunks, "chunks") // what would be done
//	_, err = m.Do()
//
// A [Session] is a look at this machine: what a name stands for, a path or VG/LV, is found out once. It
// asks nothing and prints nothing; what a user should know are its notes, each a [Note].
//
// The purpose is a method of the session:
//   - [Session.Look], [Session.Survey], [Session.Usage], [Session.Check] and [Session.Inventory] look at stores;
//   - [Session.Read], [Session.List] and [Session.Write] show a [Snapshot] as a device;
//   - [Session.PlanMerge], [Session.PlanMerges], [Session.PlanRepair], [Session.PlanRevalidate],
//     [Session.PlanInvalidate], [Session.PlanInitialize], [Session.PlanCreate] and [Session.PlanExport] plan
//     what writes.
//
// A plan has opened what it needs and looked at it. It is a value that says what would be done; its Do does
// that, and there is no other way to it from here, so that no check can be left out. The plan of a dry run
// opens nothing for writing, and cannot be done.
//
// A [*Refusal] says which device, what is wrong with it, of what kind that is, a [Code], and what can be done
// about it, as [Remedy] values: the package knows no flags. What is refused has written nothing; what is
// interrupted says how it goes on.
package snapshot
