package soak_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"dmcow/internal/kernellab"
)

// fewSamples are tried where nobody says how long.
const fewSamples = 40

// mostTold is how many disagreements end a campaign: more of the same say no more.
const mostTold = 10

// TestKernelSoak tries one sample after the other.
func TestKernelSoak(t *testing.T) {
	kernellab.Require(t)
	seed, cuts := number("DMCOW_SOAK_SEED", 1), number("DMCOW_SOAK_CUTS", 8)
	enough := func(n int, _ time.Duration) bool { return n >= fewSamples }
	if long := os.Getenv("DMCOW_SOAK"); long != "" {
		most, err := time.ParseDuration(long)
		kernellab.Must(t, err)
		enough = func(_ int, took time.Duration) bool { return took >= most }
	}
	c := &campaign{T: t, driver: newDriver(t), desk: newDesk(t.TempDir()), cuts: cuts, outcomes: map[string]int{}, told: map[string]bool{}, began: time.Now()}
	for !enough(c.tried, time.Since(c.began)) && len(c.told) < mostTold {
		c.step(seed + uint64(c.tried))
	}
	c.report()
}

func number(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// campaign is many samples.
type campaign struct {
	*testing.T
	*driver
	desk     desk
	cuts     uint64
	log      *logged // that power cuts are taken of
	began    time.Time
	lastWord time.Time
	tried    int
	outcomes map[string]int  // by what check says
	told     map[string]bool // disagreements: each property and rules once
}

func (c *campaign) step(seed uint64) {
	s := c.sample(seed)
	for _, x := range c.disagreements(s, "") {
		c.tell(s, x)
	}
	if c.tried++; time.Since(c.lastWord) > time.Minute {
		c.lastWord = time.Now()
		c.report()
	}
}

// cutsOfLog is how many power cuts are taken of what the driver wrote once.
const cutsOfLog = 20

func (c *campaign) sample(seed uint64) sample {
	if c.cuts == 0 || seed%c.cuts > 0 {
		return newSample(seed)
	}
	if n := seed / c.cuts; c.log == nil || n%cutsOfLog == 0 {
		l := c.record(rand.New(rand.NewPCG(n/cutsOfLog, 8)))
		c.log = &l
	}
	return c.log.sample(seed)
}

// disagreement is a property that does not hold.
type disagreement struct{ property, rules, words string }

func (c *campaign) disagreements(s sample, only string) (all []disagreement) {
	t, err := c.try(c.desk, s)
	if err != nil {
		return []disagreement{{"ask", "", err.Error()}}
	}
	if only == "" {
		kind := string(t.outcome())
		if s.cut != nil {
			kind = "power cut, " + kind
		}
		c.outcomes[kind]++
	}
	for _, p := range properties {
		if only != "" && only != p.name {
			continue
		}
		if words := p.differ(t); words != "" {
			all = append(all, disagreement{p.name, t.rules(), words})
		}
	}
	return all
}

// tell makes a sample small on which the two disagree, and prints it.
func (c *campaign) tell(s sample, x disagreement) {
	found := time.Since(c.began).Round(time.Second)
	fmt.Fprintf(os.Stderr, "%v, store %d: %s: %s; it is made smaller\n", found, s.seed, x.property, x.rules)
	small, x := c.shrink(s, x)
	key := x.property + " " + x.rules
	if c.told[key] {
		return
	}
	c.told[key] = true
	text := fmt.Sprintf("%v, store %d: %s: %s\n", found, s.seed, x.property, x.words)
	text += fmt.Sprintf("-- soak-%s-%d --\n# %s\n%s\n", x.property, s.seed, x.rules, strings.Join(small.spec, "\n"))
	if n := len(small.origin) / kernellab.SectorSize; n != ordinaryOrigin || small.cut != nil {
		text += fmt.Sprintf("# the origin has %d sectors; of a power cut: %v\n", n, small.cut != nil)
	}
	fmt.Fprint(os.Stderr, text) // at once, and not when hours are over
	c.T.Fail()
}

// longestShrink is how long smaller samples are tried.
const longestShrink = 30 * time.Second

// shrink is the smallest sample found on which the same property fails, and how. What is known of a power
// cut does not hold for less than all of it.
func (c *campaign) shrink(s sample, x disagreement) (sample, disagreement) {
	if x.property == "cut" {
		return s, x
	}
	for end := time.Now().Add(longestShrink); time.Now().Before(end); {
		smaller := false
		for less := range s.smaller {
			if time.Now().After(end) {
				break
			}
			if again := c.disagreements(less, x.property); len(again) > 0 {
				s, x, smaller = less, again[0], true
				break
			}
		}
		if !smaller {
			break
		}
	}
	return s, x
}

func (c *campaign) report() {
	took := time.Since(c.began)
	fmt.Fprintf(os.Stderr, "soak: %d stores in %v, %.0f an hour; %v; disagreements: %d\n",
		c.tried, took.Round(time.Second), float64(c.tried)/took.Hours(), c.outcomes, len(c.told))
}
