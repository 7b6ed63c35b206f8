package lvm

// LockingDir is where LVM keeps its lock files, by the text of its configuration (lvm.conf);
// it is empty where that does not say. The error is a [*SyntaxError].
func LockingDir(config []byte) (dir string, err error) {
	p := &parser{text: config}
	entry := func(name string) func(string) error {
		return func(key string) error {
			if key == name && !p.opened {
				return p.string(&dir)
			}
			return p.skip()
		}
	}
	flat := entry("global/locking_dir")
	err = p.all(func(key string) error {
		if key == "global" && p.opened {
			return p.each(entry("locking_dir"))
		}
		return flat(key)
	})
	return dir, err
}

// LockFile is the name of the file, in that directory, by which LVM locks a group.
func (g *Group) LockFile() string { return "V_" + g.Name }
