// Package soak holds what dmcow says of stores against what the kernel's driver does with them, for
// as long as it is let: TestKernelSoak runs in the lab (make soak).
//
// A mutator that knows the structure makes stores, each from a number: sound ones, odd ones, and ones
// that are damaged in up to three places (mutate_test.go). Power cuts of stores that the driver has
// written come between them (cut_test.go). The driver loads each, shows the snapshot, takes a few
// writes, loads it again, and merges a copy for a while (driver_test.go). What check, usage, export, the
// engine, merge-step and repair say of the same bytes is held against that, property by property
// (property_test.go).
//
// What dmcow leaves in doubt is not held against anything, and the driver cannot show that too little is in
// doubt: it shows a list with an exception lost as calmly as a whole one. That is for the tests that know
// what was there before (cmd, repair).
//
// A store on which the two disagree is made as small as it can be while the same property fails, and is
// printed as a case of testdata/damaged.
//
//	DMCOW_SOAK       how long, as 2m or 4h; a small fixed number of stores without it
//	DMCOW_SOAK_SEED  the number of the first store, 1 unless set; the same number makes the same store, but
//	                 for power cuts: there, many write at once
//	DMCOW_SOAK_CUTS  every how many stores are of a power cut, 8 unless set; 0 for none
package soak
