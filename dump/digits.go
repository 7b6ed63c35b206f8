package dump

import (
	"math/bits"
	"strconv"
)

// quads has the four digits of every number below 10^4, leading zeros too, as
// characters in the order of memory.
var quads = func() (t [10000]uint32) {
	for i := range uint32(len(t)) {
		t[i] = '0' + i/1000 | ('0'+i/100%10)<<8 | ('0'+i/10%10)<<16 | ('0'+i%10)<<24
	}
	return t
}()

// shortLimit is the first number that short does not take.
const shortLimit = 1e8

// digits8 is a number below 10^8 as eight characters in the order of memory.
func digits8(v uint64) uint64 {
	h := v / 10000
	return uint64(quads[h]) | uint64(quads[v-h*10000])<<32
}

// short is a number below 10^8 as n characters in the order of memory.
func short(v uint64) (text uint64, n int) {
	text = digits8(v)
	const zeros = 0x3030303030303030
	leading := bits.TrailingZeros64(text^zeros|1<<56) &^ 7 // the last digit stands, also a 0
	return text >> leading, 8 - leading/8
}

// mediumLimit is the first number that is neither short nor medium.
const mediumLimit = shortLimit * shortLimit

// appendNumber appends v, right-aligned in w columns.
func appendNumber(dst []byte, v uint64, w int) []byte {
	for n := width(v); n < w; n++ {
		dst = append(dst, ' ')
	}
	return strconv.AppendUint(dst, v, 10)
}

// width is the number of v's decimal digits.
func width(v uint64) int {
	n := 1
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}
