package look

import "dmcow/format"

// Plausible reports whether an exception can be one of a store on a device of so many chunks:
// its new chunk is a data chunk on the device, and its old one lies on some device.
func Plausible(g format.Geometry, chunks uint64, x format.Exception) bool {
	return x.New >= format.FirstData && uint64(x.New) < chunks && !g.IsMetadata(x.New) && OnAnyDevice(g, x)
}

// OnAnyDevice reports whether there can be devices, origin and COW device, on which the
// chunks of an exception lie.
func OnAnyDevice(g format.Geometry, x format.Exception) bool {
	most := uint64(format.LargestDevice / g.ChunkBytes())
	return uint64(x.New) < most && x.New>>56 == 0 && uint64(x.Old) < most
}

// Near reports whether two exceptions of an area have new chunks as close to each other as
// the kernel gives them out one after the other, copies in parallel and all.
func Near(a, b format.Exception) bool {
	const near = 16
	step := int64(a.New - b.New)
	return step != 0 && -near <= step && step <= near
}
