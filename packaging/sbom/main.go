// Sbom completes a CycloneDX bill of materials that cyclonedx-gomod made, from standard input to standard output:
//
//	sbom VERSION <raw.json >dmcow.cdx.json
//
// It gives dmcow its version, and every component the licence that packaging/copyright has it under, and takes out
// the digest of cyclonedx-gomod, which depends on where that was built.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"dmcow/packaging/licences"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: sbom VERSION")
	}
	all, err := licences.Collect(".")
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	bom, err := complete(raw, args[0], all)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(bom)
}

// object is a JSON object; what is not touched stays as it is.
type object = map[string]any

func complete(raw []byte, version string, all []*licences.Licence) (object, error) {
	var bom object
	if err := json.Unmarshal(raw, &bom); err != nil {
		return nil, err
	}
	metadata, _ := bom["metadata"].(object)
	program, _ := metadata["component"].(object)
	ref, _ := program["bom-ref"].(string)
	if ref == "" {
		return nil, errors.New("the bill of materials has no metadata.component with a bom-ref")
	}
	const own = "pkg:golang/dmcow"
	bom = replace(bom, ref, own+"@"+version+"?type=module").(object)
	program = bom["metadata"].(object)["component"].(object)
	program["version"] = version
	_, rest, _ := strings.Cut(program["purl"].(string), "?")
	program["purl"] = own + "@" + version + "?" + rest
	program["licenses"] = licence(licences.Outgoing(all))
	tools, _ := bom["metadata"].(object)["tools"].([]any)
	for _, tool := range tools {
		delete(tool.(object), "hashes")
	}
	if err := giveLicences(bom, all); err != nil {
		return nil, err
	}
	return bom, nil
}

// giveLicences gives every component its licence, and fails where one has none, or the other way round.
func giveLicences(bom object, all []*licences.Licence) error {
	names := map[string]string{}
	for _, l := range all {
		for _, module := range l.Modules {
			names[module] = l.Name
		}
	}
	components, _ := bom["components"].([]any)
	for _, c := range components {
		component := c.(object)
		name, _ := component["name"].(string)
		if names[name] == "" {
			return fmt.Errorf("%s is in the bill of materials, and not in packaging/copyright", name)
		}
		component["licenses"] = licence(names[name])
		delete(names, name)
	}
	for name := range names {
		return fmt.Errorf("%s is in packaging/copyright, and not in the bill of materials", name)
	}
	return nil
}

func licence(id string) []any { return []any{object{"license": object{"id": id}}} }

// replace puts a new string for an old one wherever that is a value.
func replace(v any, old, new string) any {
	switch x := v.(type) {
	case string:
		if x == old {
			return new
		}
	case []any:
		for i := range x {
			x[i] = replace(x[i], old, new)
		}
	case object:
		for key := range x {
			x[key] = replace(x[key], old, new)
		}
	}
	return v
}
