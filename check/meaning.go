package check

// Meaning is what a finding means for whoever uses the store: reads the snapshot, merges it,
// or writes to it. It stands in the rule, so that nobody else has to know rules by name; a
// finding may have one of its own, where it knows more. The zero value is the worst, which
// a rule that says nothing is taken for.
type Meaning struct {
	// NamedCertain: the chunk of the origin that the finding names reads as it did.
	NamedCertain bool
	// UnlistedCertain: so do the chunks that have no exception. They do not where an
	// exception may be lost: any of them may have had it.
	UnlistedCertain bool
	// Merging says which merge may begin all the same.
	Merging Merging
	// Writable: exceptions may be added to the store.
	Writable bool
	// Mention: whoever is about to read, merge or repair is told of it before that.
	Mention bool
	// DoubtsOrigin: another origin than the snapshot's explains the finding, too.
	DoubtsOrigin bool
}

// Merging is which merge gets over a finding.
type Merging int

// Which merge does.
const (
	NoMerge     Merging = iota
	RescueMerge         // merge --rescue, which leaves such a store where it is cut off
	ForcedMerge         // one that the user insists on, and that leaves the exception in the store
	AnyMerge
)

// harmless is what most warnings mean, and all that is only worth knowing.
var harmless = Meaning{NamedCertain: true, UnlistedCertain: true, Merging: AnyMerge, Writable: true}

// mentioned is harmless as far as anybody can say.
var mentioned = Meaning{NamedCertain: true, UnlistedCertain: true, Merging: AnyMerge, Writable: true, Mention: true}

// onlyNamed is what an exception means that has lost its new chunk and nothing else.
var onlyNamed = Meaning{UnlistedCertain: true}

// Certain reports whether the finding leaves no doubt about any chunk.
func (m Meaning) Certain() bool { return m.NamedCertain && m.UnlistedCertain }

// worse is what two findings mean together.
func (m Meaning) worse(o Meaning) Meaning {
	return Meaning{
		NamedCertain:    m.NamedCertain && o.NamedCertain,
		UnlistedCertain: m.UnlistedCertain && o.UnlistedCertain,
		Merging:         min(m.Merging, o.Merging),
		Writable:        m.Writable && o.Writable,
		Mention:         m.Mention || o.Mention,
		DoubtsOrigin:    m.DoubtsOrigin || o.DoubtsOrigin,
	}
}
