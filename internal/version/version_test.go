package version

import (
	"runtime/debug"
	"testing"
)

func TestFind(t *testing.T) {
	noted := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "aaaa"}, {Key: "vcs.time", Value: "2026-11-30T19:30:45Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	bare := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
	const unwritten = "$Format:%H %ct %(describe:tags=true,match=v*)$\n"
	for name, test := range map[string]struct {
		stamp, archive string
		info           *debug.BuildInfo
		want           string
	}{
		"stamp":                 {"1.3.0 bbbb 1796067045", "cccc 0 v1.4.0\n", noted, "dmcow 1.3.0, commit bbbb, 2026-11-30T19:30:45Z, go1"},
		"git repository":        {"", unwritten, noted, "dmcow 1.2.0, commit aaaa and changes since, 2026-11-30T19:30:45Z, go1"},
		"tarball":               {"", "cccc 1796067045 v1.4.0\n", bare, "dmcow 1.4.0, commit cccc, 2026-11-30T19:30:45Z, go1"},
		"tarball before a tag":  {"", "cccc 1796067045 \n", bare, "dmcow devel, commit cccc, 2026-11-30T19:30:45Z, go1"},
		"repository of another": {"", "cccc 1796067045 v1.4.0\n", noted, "dmcow 1.2.0, commit aaaa and changes since, 2026-11-30T19:30:45Z, go1"},
		"nothing":               {"", unwritten, bare, "dmcow devel, go1"},
	} {
		if got := line(find(test.stamp, test.archive, test.info), "go1"); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
