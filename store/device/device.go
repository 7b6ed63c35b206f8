// Package device opens block devices and image files for the packages that read and write stores, as dmcow
// does: block devices past the page cache, locked against each other, and to write for oneself alone.
package device

import "dmcow/internal/device"

// A Device is a block device or an image file that is open to be read, or a section of one. It is an io.ReaderAt,
// and what store/look, check and view take; several goroutines may read it at once.
type Device = device.Device

// A Writable is open to be written, too: what package store takes. Offsets and lengths of writes are multiples of
// its logical block, in bytes.
type Writable = device.Writable

// Open opens a block device or an image file to be read, and keeps those off who mind its locks and would write it.
// The error says what is wrong, and does not name the path.
func Open(path string) (*Device, error) { return device.Open(path) }

// OpenWritable opens one to be written. Where somebody uses it, the error says who does.
func OpenWritable(path string) (*Writable, error) { return device.OpenWritable(path) }
