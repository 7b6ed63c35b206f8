package inuse

import "testing"

// TestOwnCommand: a dmcow that uses a device is known by its command line.
func TestOwnCommand(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/sbin/dmcow\x00mount\x00snap.cow\x00m\x00--origin\x00my image\x00": "dmcow mount snap.cow m --origin 'my image'",
		"dmcow\x00": "dmcow", "": "dmcow",
	} {
		if got := ownCommand(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
