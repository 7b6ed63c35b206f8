package cmd

import (
	"fmt"
	"io"
)

// uncertain is the list of the stretches of a snapshot that are not certain, in bytes.
func (s *snapshot) uncertain(name path) textFile {
	return textFile{s.app, name, "offset,length\n"}
}

// writeUncertain writes that list, where it was asked for. The error is a failure, or one of
// standard output.
func (s *snapshot) writeUncertain(name path) error {
	return s.uncertain(name).write(func(w io.Writer) error {
		for r := range s.view.Uncertain() {
			if _, err := fmt.Fprintf(w, "%d,%d\n", r.Offset, r.Length); err != nil {
				return err
			}
		}
		return nil
	})
}
