package words

import (
	"errors"
	"fmt"
)

// hinted is an error with what can be done about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// Hint adds to an error what can be done about it. The error's own text does not change: programs read it.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// Hinted is an error with a text, and what can be done about it.
func Hinted(text, hint string) error { return &hinted{errors.New(text), hint} }

// Hints are what can be done about an error, the outermost first.
func Hints(err error) (all []string) {
	switch x := err.(type) {
	case *hinted:
		return append([]string{x.hint}, Hints(x.error)...)
	case interface{ Unwrap() error }:
		return Hints(x.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			all = append(all, Hints(e)...)
		}
	}
	return all
}
