package volume

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dmcow/internal/words"
	"dmcow/lvm"
)

// Host is this machine as LVM's configuration has it.
type Host struct {
	LockingDir string // where LVM keeps its lock files
	SystemID   string // empty where it has none
	Unknown    error  // why it has none, where the configuration asks for one
	extra      []string

	// AutoextendThreshold is how full a snapshot is, in per cent, when dmeventd extends it; 100 for never, LVM's default.
	AutoextendThreshold uint64
}

// leastThreshold is what LVM takes smaller thresholds for.
const leastThreshold = 50

// machine is what is asked of this machine, beside LVM's configuration.
type machine struct {
	etc      string // /etc
	hostname func() (string, error)
}

// ReadHost reads LVM's configuration. The error is an [*Error].
func ReadHost() (*Host, error) { return machine{"/etc", os.Hostname}.read() }

func (m machine) read() (*Host, error) {
	var c lvm.Config
	dir, set := os.LookupEnv("LVM_SYSTEM_DIR")
	if !set {
		dir = filepath.Join(m.etc, "lvm")
	}
	for _, name := range []string{"lvm.conf", "lvmlocal.conf"} {
		if dir == "" {
			break // LVM, too, does without a configuration then
		}
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = c.Read(text)
		}
		if err != nil {
			return nil, &Error{file, fmt.Errorf("cannot read LVM's configuration (locks, system ID): %w", words.Pathless(err))}
		}
	}
	h := &Host{AutoextendThreshold: 100, LockingDir: cmp.Or(c.LockingDir, "/run/lock/lvm"), extra: c.ExtraSystemIDs}
	if c.AutoextendThreshold != nil {
		h.AutoextendThreshold = max(*c.AutoextendThreshold, leastThreshold)
	}
	h.SystemID, h.Unknown = m.systemID(c)
	return h, nil
}

// systemID is the system ID of the machine (_system_id_from_source in LVM2), empty where it has
// none. The error says why it has none, where it should have one.
func (m machine) systemID(c lvm.Config) (string, error) {
	if c.SystemIDSource == "" || c.SystemIDSource == "none" {
		return "", nil
	}
	switch source := strings.ToLower(c.SystemIDSource); source {
	case "lvmlocal":
		return systemID("local/system_id", c.SystemID)
	case "uname":
		name, err := m.hostname()
		if err != nil {
			return "", fmt.Errorf("uname: %w", err)
		}
		return systemID("uname", name)
	case "machineid", "machine-id":
		return systemIDIn(filepath.Join(cmp.Or(c.Etc, m.etc), "machine-id"))
	case "appmachineid":
		return appMachineID(filepath.Join(m.etc, "machine-id"))
	case "file":
		if c.SystemIDFile == "" {
			return "", errors.New("global/system_id_file: missing")
		}
		return systemIDIn(c.SystemIDFile)
	}
	return "", fmt.Errorf("global/system_id_source: unknown value %q", c.SystemIDSource)
}

func systemID(what, text string) (string, error) {
	id := lvm.ParseSystemID(text)
	if id == "" {
		return "", fmt.Errorf("%s: invalid system ID %q", what, text)
	}
	return id, nil
}

// systemIDIn is the system ID in a file: LVM takes the first line that it can make one of, up to
// a comment (_read_system_id_from_file).
func systemIDIn(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, words.Pathless(err))
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if id := lvm.ParseSystemID(line); id != "" {
			return id, nil
		}
	}
	return "", fmt.Errorf("%s: no valid system ID in it", file)
}

// applicationID is what LVM derives its own ID from a machine's by (LVM_APPLICATION_ID).
var applicationID = []byte{0xf6, 0x44, 0x06, 0x83, 0x2c, 0x21, 0x40, 0xe8, 0xac, 0x54, 0x22, 0xd1, 0x08, 0x9a, 0xae, 0x03}

// appMachineID is what systemd makes of a machine's ID for an application
// (sd_id128_get_machine_app_specific): its half of a digest, as a UUID of version 4.
func appMachineID(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, words.Pathless(err))
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 16 || !slices.ContainsFunc(key, func(b byte) bool { return b != 0 }) {
		return "", fmt.Errorf("%s: not a machine ID (32 hexadecimal digits)", file)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(applicationID)
	id := mac.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return hex.EncodeToString(id), nil
}

// mayUse is true for a group that LVM on this host uses. A host without an ID uses none that has
// one, whatever its list says (is_system_id_allowed).
func (h *Host) mayUse(g *lvm.Group) bool {
	return g.SystemID == "" || h.SystemID != "" && (g.SystemID == h.SystemID || slices.Contains(h.extra, g.SystemID))
}

// String says which host it is.
func (h *Host) String() string {
	switch {
	case h.SystemID != "":
		return "this host is " + h.SystemID
	case h.Unknown != nil:
		return fmt.Sprintf("this host has no system ID (%v)", h.Unknown)
	}
	return "this host has no system ID"
}
