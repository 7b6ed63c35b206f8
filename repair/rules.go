package repair

import "dmcow/check"

// droppable are the rules whose exceptions are dropped on the user's word.
var droppable = map[*check.Rule]bool{
	check.NewChunkOver56Bits: true, check.NewChunkIsMetadata: true, check.NewChunkBeyondDevice: true,
	check.OldChunkBeyondOrigin: true, check.HeaderInArea: true,
}

// advice is, by rule, what there is to choose and what each choice loses.
var advice = map[*check.Rule]string{
	check.BadMagic:       "make sure that this is the device you mean. " + headerAdvice,
	check.LostHeader:     headerAdvice,
	check.BadVersion:     headerAdvice,
	check.BadChunkSize:   headerAdvice,
	check.WrongChunkSize: headerAdvice,
	check.ZeroedHeader: "if this is a new snapshot over the blocks of one that was removed, leave it: with a header, the old one's exceptions would be served over this origin. " +
		"If the header was wiped, " + headerAdvice,
	check.TooSmall: "extend the device; or, if it is the chunk size that is damaged, " + headerAdvice,
	check.HiddenExceptions: "--hidden keep closes the gap and brings the exceptions behind it back, as the kernel does after a few writes, and loses what stood in the gap; " +
		"it is right where a sector or an entry was lost, and mixes old and new where a power cut tore a write to the snapshot. --hidden drop clears them: the snapshot then reads the origin's chunks there, and for what the areas behind have, which the list does not come to then. " +
		"With --origin, entries that a torn commit left are told from lost ones by the origin's data",
	check.ImplausibleArea: "--drop drops the entries that cannot be exceptions and keeps the others; the snapshot reads the origin's chunks for what the area held before. " +
		"Make sure first that the chunk size is the one that the snapshot was made with",
	check.OddTerminator:        "--drop clears the entry: the snapshot then reads the origin's chunk",
	check.HeaderInArea:         dropAdvice,
	check.NewChunkOver56Bits:   dropAdvice,
	check.NewChunkIsMetadata:   dropAdvice,
	check.NewChunkOutOfPlace:   "merge --force merges it as it stands",
	check.OldChunkBeyondOrigin: "if the origin was larger, grow it back. --drop drops the exceptions: their data is not in the snapshot any more",
	check.RepeatedException: "--keep first or --keep last drops the other one. An interrupted merge --rescue or repair leaves exceptions twice, and then nothing is lost; " +
		"where a sector or an area was overwritten by a copy of another, the exceptions that it had are lost",
	check.DuplicateOldChunk: "--keep first or --keep last keeps that exception of each chunk, in the list's order, and loses the other's data. One of the two may have been of another chunk, which then reads as the origin does. " +
		"The kernel adds at the end, so the first is mostly the older; the data shows which one the snapshot had: dd if=COW bs=CHUNK-SIZE skip=NEW-CHUNK count=1",
	check.DuplicateNewChunk: "--unshare gives the later exception a copy of the chunk. One of the two has lost its data long since, and nothing tells which: with the copy, a write to one does not change the other any more",
}

const dropAdvice = "--drop drops the exceptions: the snapshot then reads the origin's chunks there"

const headerAdvice = "--header CHUNK-SIZE --valid 0|1 writes the header anew, and the list is read with that chunk size. " +
	"It loses what stands in the first 16 bytes, and with them whether the snapshot was marked invalid: with --valid 1 the kernel serves it, " +
	"with --valid 0 it does not, and dmcow revalidate says what it costs to change that"

const rebuildAdvice = "--rebuild writes what the entries around say that stood there, and loses nothing if they are right. Otherwise: "
