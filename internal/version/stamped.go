//go:build stamped

package version

// archive is not in a program that is stamped: what git writes into archive.txt would make the program from a tarball
// another one than from a repository.
var archive string
