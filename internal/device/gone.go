package device

// Gone is why some of what the device is joined from is not there; it is nil where all is.
func (d *Device) Gone() error {
	for m := range d.media() {
		if m.gone != nil {
			return m.gone
		}
	}
	return nil
}
