package repair

import (
	"fmt"

	"dmcow/check"
	"dmcow/store/look"
)

// droppable are the rules whose exceptions are dropped on the user's word.
var droppable = map[*check.Rule]bool{
	check.NewChunkOver56Bits: true, check.NewChunkIsMetadata: true, check.NewChunkBeyondDevice: true,
	check.OldChunkBeyondOrigin: true, check.HeaderInArea: true,
}

// advice is, by rule, what there is to choose and what each choice loses.
var advice = map[*check.Rule]string{
	check.BadMagic:       "check that this is the right device. " + headerAdvice,
	check.LostHeader:     headerAdvice,
	check.BadVersion:     headerAdvice,
	check.BadChunkSize:   headerAdvice,
	check.WrongChunkSize: headerAdvice,
	check.ZeroedHeader: "if this is a new snapshot on the blocks of a removed one, leave it: with a header, the kernel would serve the old exceptions over this origin. " +
		"If the header was wiped, " + headerAdvice,
	check.TooSmall: "extend the device; or, if the chunk size is damaged, " + headerAdvice,
	check.ImplausibleArea: "--drop drops the garbage and keeps the other exceptions; for those that the area held before, the snapshot reads the origin's chunks. " +
		"First check that the chunk size is right",
	check.OddTerminator:        "--drop clears the slot: the snapshot then reads the origin's chunk",
	check.HeaderInArea:         dropAdvice,
	check.NewChunkOver56Bits:   dropAdvice,
	check.NewChunkIsMetadata:   dropAdvice,
	check.NewChunkOutOfPlace:   "dmcow merge --force merges it as it is",
	check.OldChunkBeyondOrigin: "if the origin was larger, grow it back. --drop drops the exceptions: the snapshot loses their data",
	check.RepeatedException: "--keep first or --keep last drops the other one. If an interrupted merge --rescue or repair left them, nothing is lost; " +
		"if a sector or an area was overwritten by a copy of another, the exceptions that it held are lost",
	check.DuplicateOldChunk: "--keep first or --keep last keeps that exception of each chunk, in list order, and loses the data of the other. If one of them was damaged and belonged to another chunk, that chunk then reads the origin's data. " +
		"The kernel adds at the end, so the first is usually the older one. To see the data: dd if=COW bs=CHUNK-SIZE skip=NEW-CHUNK count=1",
	check.DuplicateNewChunk: "--unshare gives the later exception its own copy of the chunk. One of the two has lost its data, and nothing shows which; with the copy, a write to one no longer changes the other",
}

// hiddenAdvice is that for exceptions behind the list's end, with what each choice loses.
func hiddenAdvice(h look.Hidden, compared bool) string {
	text := fmt.Sprintf("--hidden keep closes the gap and brings back what is behind it (%d exceptions), as the kernel does after a few writes; those that were in the gap "+
		"(%d slots before the first of them) are lost. It is right if a sector or a slot was lost, and mixes old and new data if a power cut tore a write to the snapshot. "+
		"--hidden drop clears those %d: the snapshot then reads the origin's chunks there, and also for the areas behind, which the list then does not reach",
		h.Count, h.First-h.Index, h.Count)
	if compared {
		return text
	}
	return text + ". With --origin, dmcow tells leftovers of a torn commit from lost exceptions by the origin's data"
}

// flags are, by rule, the choices that advice speaks of. Those of a header depend on the finding.
var flags = map[*check.Rule][]string{
	check.ImplausibleArea: {"--drop"}, check.OddTerminator: {"--drop"}, check.HeaderInArea: {"--drop"}, check.NewChunkOver56Bits: {"--drop"},
	check.NewChunkIsMetadata: {"--drop"}, check.OldChunkBeyondOrigin: {"--drop"},
	check.RepeatedException: {"--keep first", "--keep last"}, check.DuplicateOldChunk: {"--keep first", "--keep last"},
	check.DuplicateNewChunk: {"--unshare"}, check.AreaBeyondDevice: {"--truncate-list"},
}

const dropAdvice = "--drop drops the exceptions: the snapshot then reads the origin's chunks there"

const headerAdvice = "--header CHUNK-SIZE --valid 0 (or 1) writes the header again; the list is then read with that chunk size. " +
	"That overwrites the first 16 bytes, and with them the mark as invalid: with --valid 1 the kernel serves the snapshot, " +
	"with --valid 0 it does not, and dmcow revalidate shows what it costs to change that"

const rebuildAdvice = "--rebuild writes the exceptions that their neighbours show, and loses nothing if these are right. Otherwise: "
