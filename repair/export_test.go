package repair

// RuleNames are the rules of a check that a repair knows.
func RuleNames() []string {
	return []string{badMagic, lostHeader, zeroedHeader, badVersion, badChunkSize, wrongChunkSize, validNotOne, headerPadding,
		oddTerminator, beyondDevice, implausible, hidden, headerInArea, repeated, duplicateOld, duplicateNew, over56Bits, isMetadata,
		newBeyond, oldBeyond, olderStore, tooSmall}
}
