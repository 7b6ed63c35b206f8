package raid

import "crypto/subtle"

// The field of 256 elements with the polynomial 0x11d, of which 2 is a generator.
var power, logarithm = tables()

func tables() (power [255]byte, logarithm [256]int) {
	x := 1
	for i := range power {
		power[i], logarithm[x] = byte(x), i
		if x <<= 1; x > 255 {
			x ^= 0x11d
		}
	}
	return power, logarithm
}

// timesPower multiplies with a power of the generator, which may be negative.
func timesPower(x byte, n int) byte {
	if x == 0 {
		return 0
	}
	return power[((logarithm[x]+n)%255+255)%255]
}

// table is all elements times a power of the generator.
func table(n int) (t [256]byte) {
	for x := range t {
		t[x] = timesPower(byte(x), n)
	}
	return t
}

// add adds b to a.
func add(a, b []byte) {
	subtle.XORBytes(a, a, b)
}

// addTimes adds b times a power of the generator to a.
func addTimes(a, b []byte, n int) {
	t := table(n)
	for i, x := range b {
		a[i] ^= t[x]
	}
}

// scale multiplies a with a power of the generator.
func scale(a []byte, n int) {
	t := table(n)
	for i, x := range a {
		a[i] = t[x]
	}
}
