package repair

// The rules of a check that have a remedy here.
const (
	badMagic       = "bad-magic"
	lostHeader     = "lost-header"
	zeroedHeader   = "zeroed-header"
	badVersion     = "bad-version"
	badChunkSize   = "bad-chunk-size"
	wrongChunkSize = "wrong-chunk-size"
	validNotOne    = "valid-not-one"
	headerPadding  = "header-padding"
	oddTerminator  = "odd-terminator"
	beyondDevice   = "area-beyond-device"
	implausible    = "implausible-area"
	hidden         = "hidden-exceptions"
	headerInArea   = "header-in-area"
	repeated       = "repeated-exception"
	duplicateOld   = "duplicate-old-chunk"
	duplicateNew   = "duplicate-new-chunk"
	over56Bits     = "new-chunk-over-56-bits"
	isMetadata     = "new-chunk-is-metadata"
	newBeyond      = "new-chunk-beyond-device"
	oldBeyond      = "old-chunk-beyond-origin"
	olderStore     = "older-store"
	tooSmall       = "too-small"
)

// droppable are the rules whose exceptions are dropped on the user's word.
var droppable = map[string]bool{over56Bits: true, isMetadata: true, newBeyond: true, oldBeyond: true}

// advice is, by rule, what there is to choose and what each choice loses.
var advice = map[string]string{
	badMagic:       "make sure that this is the device you mean. " + headerAdvice,
	lostHeader:     headerAdvice,
	badVersion:     headerAdvice,
	badChunkSize:   headerAdvice,
	wrongChunkSize: headerAdvice,
	zeroedHeader: "if this is a new snapshot over the blocks of one that was removed, leave it: with a header, the old one's exceptions would be served over this origin. " +
		"If the header was wiped, " + headerAdvice,
	tooSmall: "extend the device; or, if it is the chunk size that is damaged, " + headerAdvice,
	hidden: "--hidden keep closes the gap and brings the exceptions behind it back, as the kernel does after a few writes; it is right where an entry was damaged, " +
		"and mixes old and new where the exceptions are left over from something that was taken back. --hidden drop clears them: the snapshot then reads the origin's chunks there",
	implausible: "--drop drops the entries that cannot be exceptions and keeps the others; the snapshot reads the origin's chunks for what the area held before. " +
		"Make sure first that the chunk size is the one that the snapshot was made with",
	over56Bits: "--drop drops the exceptions: the snapshot then reads the origin's chunks there",
	isMetadata: "--drop drops the exceptions: the snapshot then reads the origin's chunks there",
	oldBeyond:  "if the origin was larger, grow it back. --drop drops the exceptions: their data is not in the snapshot any more",
	duplicateOld: "--keep first or --keep last keeps that exception of each chunk, in the list's order, and loses the other's data. The kernel adds at the end, so the first is mostly the older; " +
		"the data shows which one the snapshot had: dd if=COW bs=CHUNK-SIZE skip=NEW-CHUNK count=1",
	duplicateNew: "--unshare gives the later exception a copy of the chunk. One of the two has lost its data long since, and nothing tells which: with the copy, a write to one does not change the other any more",
}

const headerAdvice = "--header CHUNK-SIZE --valid 0|1 writes the header anew, and the list is read with that chunk size. " +
	"It loses what stands in the first 16 bytes, and with them whether the snapshot was marked invalid: with --valid 1 the kernel serves it, " +
	"with --valid 0 it does not, and dmcow revalidate says what it costs to change that"
