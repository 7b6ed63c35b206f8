package check_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"dmcow/check"
	"dmcow/store/device"
)

// A store is checked, whose first exception leads into a metadata area, and what is found is printed.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cow")
	content := make([]byte, 64<<10)
	copy(content, "SnAp\x01\x00\x00\x00\x01\x00\x00\x00\x08")                                // 8-sector chunks
	copy(content[4096:], "\x07\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00") // 7 -> 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		log.Fatal(err)
	}
	d, err := device.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()

	report, err := check.Make(check.Options{Device: d})
	if err != nil {
		log.Fatal(err)
	}
	for _, tally := range report.Tallies {
		for _, f := range tally.Findings {
			fmt.Printf("%s: %s: %s\n", f.Severity, f.Where(), f.Message())
		}
	}
	// Output: error: area 0 slot 0: new chunk 1 is its own metadata area: the mark of CVE-2013-4299, a bug of kernels before 3.12
}
