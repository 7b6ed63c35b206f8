package check

import "dmcow/format"

// runLive checks a device that the kernel may be writing to. A walk takes its
// time, and reads that meet a write may see a part of it; so what looks like a
// fault is told only if a second look shows it again.
func runLive(o Options, found func(Finding) error) (Result, error) {
	seen := sightings{}
	var rest []Finding
	r, err := run(o, func(f Finding) error {
		if f.Severity == Info {
			rest = append(rest, f)
		}
		seen.add(f)
		return nil
	})
	if err != nil {
		return r, err
	}
	if len(seen) == 0 {
		for _, f := range rest {
			if err := found(f); err != nil {
				return r, err
			}
		}
		return r, nil
	}
	return run(o, func(f Finding) error {
		if f.Severity != Info && !seen.has(f) {
			return nil
		}
		return found(f)
	})
}

// sightings are faults, by what they are and where. Of very many, which no write
// of the kernel's explains, only the rule is kept.
type sightings map[sighting]struct{}

type sighting struct {
	rule *Rule
	at   format.Place
	x    format.Exception
}

// maxSightings is how many are kept one by one.
const maxSightings = 1 << 16

func (s sightings) add(f Finding) {
	if f.Severity == Info {
		return
	}
	key := sighting{f.Rule, f.Place, f.Exception}
	if len(s) >= maxSightings {
		key = sighting{rule: f.Rule}
	}
	s[key] = struct{}{}
}

func (s sightings) has(f Finding) bool {
	_, one := s[sighting{f.Rule, f.Place, f.Exception}]
	_, any := s[sighting{rule: f.Rule}]
	return one || any && len(s) >= maxSightings
}
