//go:build !stamped

package version

import _ "embed"

// archive is "COMMIT TIME DESCRIPTION" in a tarball, the description possibly empty, and else what asks git for it.
//
//go:embed archive.txt
var archive string
