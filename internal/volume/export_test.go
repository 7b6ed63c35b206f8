package volume

// HostIn is the host whose /etc is in a directory.
func HostIn(etc string, hostname func() (string, error)) (*Host, error) {
	return machine{etc, hostname}.read()
}

// MayUse is [Host.mayUse].
var MayUse = (*Host).mayUse
