// Package version says which dmcow this is.
//
// A build by make is stamped, by the linker, with what packaging/version prints. A plain "go build" has what
// the Go toolchain noted of the git repository, and in a release tarball, which has no repository, git has
// written the same into archive.txt when it made the tarball.
package version

import (
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// stamp is "VERSION COMMIT TIME", the time in seconds since 1970, or empty.
var stamp string

// A source is where the program was built from. Fields that are not known are empty.
type source struct {
	version, commit string
	time            time.Time
	modified        bool // after the commit
}

// String is the version in one line: version, commit, date of the commit, and Go.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: "go unknown"}
	}
	return line(find(stamp, archive, info), info.GoVersion)
}

// Release is the version alone, and the Go that built it.
func Release() (version, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: "unknown"}
	}
	return find(stamp, archive, info).version, info.GoVersion
}

func line(s source, goVersion string) string {
	text := "dmcow " + s.version
	if s.commit != "" {
		text += ", commit " + s.commit
	}
	if s.modified {
		text += " and changes since"
	}
	if !s.time.IsZero() {
		text += ", " + s.time.UTC().Format(time.RFC3339)
	}
	return text + ", " + goVersion
}

// find takes the first of the three that knows the commit.
func find(stamp, archive string, info *debug.BuildInfo) source {
	if f := strings.Fields(stamp); len(f) == 3 {
		return source{version: f[0], commit: f[1], time: seconds(f[2])}
	}
	s := noted(info)
	if f := strings.Fields(archive); s.commit == "" && len(f) >= 2 && !strings.HasPrefix(archive, "$") {
		s = source{version: "devel", commit: f[0], time: seconds(f[1])}
		if len(f) == 3 {
			s.version = strings.TrimPrefix(f[2], "v")
		}
	}
	return s
}

// noted is what the Go toolchain wrote into the program.
func noted(info *debug.BuildInfo) source {
	s := source{version: "devel"}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		s.version = strings.TrimPrefix(v, "v")
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			s.commit = setting.Value
		case "vcs.time":
			s.time, _ = time.Parse(time.RFC3339, setting.Value)
		case "vcs.modified":
			s.modified = setting.Value == "true"
		}
	}
	return s
}

func seconds(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
