// Package raid reads arrays as the kernel's md lays them out: RAID4, 5 and 6 in all layouts that LVM makes, and RAID10
// with near copies. What an image lacks is computed from the others, as far as they allow.
//
// An array is rows of one chunk on each image. In each row of RAID5 one chunk is parity, P; RAID6 has a second
// one, Q. Layouts say which images have them, and in which order the others have the data (raid5_compute_sector in
// drivers/md/raid5.c). In row r of n images:
//
//	RAID4, 5                 P on                  data from
//	0  left asymmetric       (n-1) - r % n         image 0 on, but for P
//	1  right asymmetric      r % n                 image 0 on, but for P
//	2  left symmetric        (n-1) - r % n         the image behind P on, round
//	3  right symmetric       r % n                 the image behind P on, round
//	4  parity first          0                     image 1 on
//	5  parity last           n-1                   image 0 on
//
//	RAID6                    P on                  Q on           data from
//	8  zero restart          r % n                 behind P       image 0 on, but for P and Q
//	9  N restart             (n-1) - (r+1) % n     behind P       image 0 on, but for P and Q
//	10 N continue            (n-1) - r % n         before P       the image behind P on, round, but for Q
//	5  parity last           n-2                   n-1            image 0 on
//	16 to 19                 as 0 to 3 on n-1      n-1
//
// P is the data chunks' sum, and Q the sum of each times a power of g in the field of 256 elements with the polynomial
// 0x11d: in layouts 8 to 10 the power is the image's number, in the others the number of the data chunk in its row,
// counted from the image behind Q on where Q is not on the last image.
package raid

import "fmt"

// The layouts, by md's numbers.
const (
	leftAsymmetric = iota
	rightAsymmetric
	leftSymmetric
	rightSymmetric
	parityFirst
	parityLast

	zeroRestart = 8
	nRestart    = 9
	nContinue   = 10
	lastQ       = 16 // and a layout of RAID5 on the images before
)

// Geometry is how an array is laid out.
type Geometry struct {
	Level, Layout int // as md has them
	Images        int
	Chunk         int64 // in bytes
}

// Check is the error of a geometry that is not known.
func (g Geometry) Check() error {
	known := false
	switch n := g.Images; g.Level {
	case 5:
		known = g.Layout >= leftAsymmetric && g.Layout <= parityLast && n >= 2
	case 6:
		last := g.Layout >= lastQ && g.Layout <= lastQ+rightSymmetric
		known = (g.Layout >= zeroRestart && g.Layout <= nContinue || g.Layout == parityLast || last) && n >= 3
	case 10:
		known = g.Layout>>8 == 1 && g.Layout&0xff > 0 && g.Layout&0xff <= n
	}
	if !known || g.Images > 256 || g.Chunk < 512 || g.Chunk%512 != 0 {
		return fmt.Errorf("%d images of level %d, layout %#x, in chunks of %d bytes, are not known", g.Images, g.Level, g.Layout, g.Chunk)
	}
	return nil
}

// Parity is how many images may be missing, of one with parity.
func (g Geometry) Parity() int {
	switch g.Level {
	case 5:
		return 1
	case 6:
		return 2
	}
	return 0
}

// Data is how many chunks of data a row has, of one with parity.
func (g Geometry) Data() int { return g.Images - g.Parity() }

// row is which images have what in a row.
type row struct {
	p, q int   // q is -1 where there is none
	data []int // the images of its data chunks, in order
	g    []int // the power of g that each has in Q
}

// row is row number n.
func (g Geometry) row(n int64) row {
	if g.Level == 5 {
		return rotated(g.Layout, g.Images, n)
	}
	last := g.Images - 1
	var r row
	switch {
	case g.Layout >= lastQ:
		r = rotated(g.Layout-lastQ, last, n)
		r.q = last
	case g.Layout == parityLast:
		r = rotated(parityLast, last, n)
		r.q = last
	case g.Layout == zeroRestart:
		r.p = int(n % int64(g.Images))
		r.q = (r.p + 1) % g.Images
		r.data = others(0, g.Images, r.p, r.q)
	case g.Layout == nRestart:
		r.p = last - int((n+1)%int64(g.Images))
		r.q = (r.p + 1) % g.Images
		r.data = others(0, g.Images, r.p, r.q)
	default:
		r.p = last - int(n%int64(g.Images))
		r.q = (r.p + last) % g.Images
		r.data = others(r.p+1, g.Images, r.p, r.q)
	}
	r.powers(g)
	return r
}

// rotated is a row of RAID5 on so many images.
func rotated(layout, images int, n int64) row {
	r := row{p: int(n % int64(images)), q: -1}
	if layout == leftAsymmetric || layout == leftSymmetric {
		r.p = images - 1 - r.p
	}
	first := 0
	switch layout {
	case leftSymmetric, rightSymmetric:
		first = r.p + 1
	case parityFirst:
		r.p = 0
	case parityLast:
		r.p = images - 1
	}
	r.data = others(first, images, r.p, -1)
	return r
}

// others are all images from one on, round, but for two.
func others(first, images, p, q int) (all []int) {
	for i := range images {
		if at := (first + i) % images; at != p && at != q {
			all = append(all, at)
		}
	}
	return all
}

// powers says which power of g each data chunk has in Q.
func (r *row) powers(g Geometry) {
	r.g = make([]int, len(r.data))
	byImage := g.Layout >= zeroRestart && g.Layout <= nContinue
	order := map[int]int{}
	for i, at := range others((r.q+1)%g.Images, g.Images, r.p, r.q) {
		order[at] = i
	}
	for i, at := range r.data {
		r.g[i] = order[at]
		if byImage {
			r.g[i] = at
		}
	}
}
