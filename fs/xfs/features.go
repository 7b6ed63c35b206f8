package xfs

import (
	"fmt"
	"math/bits"
)

// The features that matter here, with the kernel's numbers.
const (
	v4Attr    = 0x10
	v4Quota   = 0x40
	v4Align   = 0x80
	v4Shared  = 0x200
	v4LogV2   = 0x400
	v4Sector  = 0x800
	v4ExtFlag = 0x1000
	v4DirV2   = 0x2000
	v4CI      = 0x4000
	v4More    = 0x8000

	more32BitProject = 0x80
	moreFileType     = 0x200

	roFinobt   = 0x1
	roRmapbt   = 0x2
	roReflink  = 0x4
	roInobtCnt = 0x8

	incompatFileType    = 0x1
	incompatSparse      = 0x2
	incompatMetaUUID    = 0x4
	incompatBigTime     = 0x8
	incompatNeedsRepair = 0x10
	incompatLargeCounts = 0x20
	incompatExchange    = 0x40
	incompatParent      = 0x80
)

// supported are the incompatible features that are read. Others change what lies where: metadata directories, zones, and
// whatever is newer than this.
const supported = incompatFileType | incompatSparse | incompatMetaUUID | incompatBigTime | incompatNeedsRepair | incompatLargeCounts |
	incompatExchange | incompatParent

// names of the features, as mkfs.xfs calls them where it has them, by their bit.
var (
	v4Names       = map[int]string{4: "attr", 5: "nlink", 6: "quota", 7: "align", 8: "stripe", 9: "shared", 10: "logv2", 11: "sector", 12: "extflg", 14: "ascii-ci"}
	moreNames     = map[int]string{1: "lazy-count", 3: "attr2", 4: "parent", 7: "projid32bit", 9: "ftype"}
	roNames       = map[int]string{0: "finobt", 1: "rmapbt", 2: "reflink", 3: "inobtcount"}
	incompatNames = map[int]string{
		0: "ftype", 1: "sparse", 2: "metauuid", 3: "bigtime", 4: "needsrepair", 5: "nrext64", 6: "exchange", 7: "parent", 8: "metadir", 9: "zoned",
		10: "zone gaps",
	}
)

// okMore are the features of the second word, in version 4, that are read. (0x100 is how checksums were called before
// version 5.)
const okMore = 0x2 | 0x8 | more32BitProject | moreFileType

// named lists features; the word is for those without a name.
func named(features uint32, names map[int]string, word string) (all []string) {
	for ; features != 0; features &= features - 1 {
		bit := bits.TrailingZeros32(features)
		name, ok := names[bit]
		if !ok {
			name = fmt.Sprintf("%s 0x%x", word, uint32(1)<<bit)
		}
		all = append(all, name)
	}
	return all
}
