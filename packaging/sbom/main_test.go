package main

import (
	"encoding/json"
	"strings"
	"testing"

	"dmcow/packaging/licences"
)

const raw = `{"metadata":{"component":{"bom-ref":"old","name":"dmcow","purl":"pkg:golang/dmcow?goos=linux"},"tools":[{"name":"t","hashes":[]}]},
"components":[{"name":"std","version":"go1"},{"name":"example.org/a","licenses":[{"license":{"id":"0BSD"}}]}],
"dependencies":[{"ref":"old","dependsOn":["std"]}]}`

func TestComplete(t *testing.T) {
	bom, err := complete([]byte(raw), "1.2.0", []*licences.Licence{
		{Name: "BSD-3-Clause", Modules: []string{"std"}}, {Name: "Apache-2.0", Modules: []string{"example.org/a"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(bom)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"components":[{"licenses":[{"license":{"id":"BSD-3-Clause"}}],"name":"std","version":"go1"},` +
		`{"licenses":[{"license":{"id":"Apache-2.0"}}],"name":"example.org/a"}],` +
		`"dependencies":[{"dependsOn":["std"],"ref":"pkg:golang/dmcow@1.2.0?type=module"}],` +
		`"metadata":{"component":{"bom-ref":"pkg:golang/dmcow@1.2.0?type=module",` +
		`"licenses":[{"license":{"id":"GPL-3.0-or-later"}}],"name":"dmcow",` +
		`"purl":"pkg:golang/dmcow@1.2.0?goos=linux","version":"1.2.0"},"tools":[{"name":"t"}]}}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNotTheSameModules(t *testing.T) {
	for want, all := range map[string][]*licences.Licence{
		"example.org/a is in the bill": {{Name: "MIT", Modules: []string{"std"}}},
		"example.org/b is in packaging/copyright": {
			{Name: "MIT", Modules: []string{"std", "example.org/a", "example.org/b"}},
		},
	} {
		if _, err := complete([]byte(raw), "1.2.0", all); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
