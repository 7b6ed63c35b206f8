package store

// bitmap is a set of numbers below a limit, one bit each. Memory is taken for
// the parts that are used.
type bitmap [][]uint64

// bitmapPage is the number of words in a part.
const bitmapPage = 512

func newBitmap(limit uint64) bitmap {
	const bits = 64 * bitmapPage
	return make(bitmap, (limit+bits-1)/bits)
}

func (b bitmap) set(n uint64) {
	page, word := n/64/bitmapPage, n/64%bitmapPage
	if b[page] == nil {
		b[page] = make([]uint64, bitmapPage)
	}
	b[page][word] |= 1 << (n % 64)
}

func (b bitmap) has(n uint64) bool {
	page := b[n/64/bitmapPage]
	return page != nil && page[n/64%bitmapPage]>>(n%64)&1 != 0
}
