package store

import "dmcow/format"

// Possible tells whether an exception can be one of a store on a device with so many
// chunks: its new chunk is a data chunk on the device, and its old one lies on some
// origin.
func Possible(g format.Geometry, chunks uint64, x format.Exception) bool {
	const largestDevice = 1 << 63 // bytes that the kernel can address (loff_t)
	return x.New >= format.FirstData && uint64(x.New) < chunks && !g.IsMetadata(x.New) &&
		uint64(x.Old) < largestDevice/uint64(g.ChunkBytes())
}
