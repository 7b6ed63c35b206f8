package check

// runLive checks a device that the kernel may be writing to. A walk takes its
// time, and reads that meet a write may see a part of it; so what looks like
// damage is told only if a second look shows it again.
func runLive(o Options, found func(Finding) error) (Result, error) {
	seen := sightings{}
	var infos []Finding
	r, err := run(o, func(f Finding) error {
		if f.Severity == Info {
			infos = append(infos, f)
		} else {
			seen.add(f)
		}
		return nil
	})
	if err != nil || len(seen) == 0 {
		for i := 0; i < len(infos) && err == nil; i++ {
			err = found(infos[i])
		}
		return r, err
	}
	return run(o, func(f Finding) error {
		if f.Severity != Info && !seen.has(f) {
			return nil
		}
		return found(f)
	})
}

// sightings are findings, by what they are and where. Of very many, which no write
// of the kernel's explains, only the rule is kept.
type sightings map[sighting]struct{}

type sighting struct {
	rule *Rule
	named
}

// maxSightings is how many are kept one by one.
const maxSightings = 1 << 16

func (s sightings) add(f Finding) {
	key := sighting{f.Rule, named{f.Place, f.Exception}}
	if len(s) >= maxSightings {
		key = sighting{rule: f.Rule}
	}
	s[key] = struct{}{}
}

func (s sightings) has(f Finding) bool {
	_, one := s[sighting{f.Rule, named{f.Place, f.Exception}}]
	_, any := s[sighting{rule: f.Rule}]
	return one || any && len(s) >= maxSightings
}
