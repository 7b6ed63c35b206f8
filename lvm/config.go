package lvm

import "strings"

// Config is what LVM's configuration says, as far as it is asked for here. What it does not say
// is empty.
type Config struct {
	LockingDir     string   // where the lock files are
	Etc            string   // where the machine ID is
	SystemIDSource string   // where this host's system ID comes from
	SystemIDFile   string   // the file, where it comes from one
	SystemID       string   // the ID, where it comes from the configuration
	ExtraSystemIDs []string // of groups that this host may use beside its own

	// AutoextendThreshold is how full a snapshot is, in per cent, when dmeventd extends it; nil where that is not said, and
	// 100 for never. What is said may be less than LVM goes by.
	AutoextendThreshold *uint64
}

// Read takes in a file of the configuration (lvm.conf). What it says holds in place of what an
// earlier file has said. The error is a [*SyntaxError].
func (c *Config) Read(text []byte) error {
	p := &parser{text: text}
	words := map[string]*string{
		"global/locking_dir": &c.LockingDir, "global/etc": &c.Etc, "global/system_id_source": &c.SystemIDSource,
		"global/system_id_file": &c.SystemIDFile, "local/system_id": &c.SystemID,
	}
	entry := func(name string) error {
		switch to := words[name]; {
		case !p.opened && to != nil:
			return p.string(to)
		case !p.opened && name == "local/extra_system_ids":
			return p.strings(&c.ExtraSystemIDs)
		case !p.opened && name == "activation/snapshot_autoextend_threshold":
			return p.list(func(v scalar) error {
				if v.kind == isNumber { // LVM, too, goes by its default if it is something else
					c.AutoextendThreshold = new(uint64(max(v.number, 0)))
				}
				return nil
			})
		}
		return p.skip()
	}
	return p.all(func(key string) error {
		if p.opened && (key == "global" || key == "local" || key == "activation") {
			return p.each(func(name string) error { return entry(key + "/" + name) })
		}
		return entry(key)
	})
}

// maxSystemID is how long a system ID is at most (NAME_LEN).
const maxSystemID = 128

// ParseSystemID makes a system ID of a text, as LVM does (system_id_from_string): it begins with a
// letter or a digit, and has nothing but letters, digits, and some signs; all else in the text is
// left out. It is empty for a text that LVM makes no ID of.
func ParseSystemID(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		letter := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if letter || b.Len() > 0 && strings.IndexByte("._-+", c) >= 0 {
			b.WriteByte(c)
		}
		if b.Len() == maxSystemID {
			break
		}
	}
	if strings.HasPrefix(b.String(), "localhost") {
		return "" // too many hosts are named so
	}
	return b.String()
}

// LockFile is the name of the file, in the directory for them, by which LVM locks a group.
func (g *Group) LockFile() string { return "V_" + g.Name }
