package argline

import (
	"regexp"
	"strings"
	"sync"
)

// phrases are what kong says, and how it is said here. They are compiled when they are needed: no run without such an
// error begins later for them.
var phrases = sync.OnceValue(func() []phrase {
	return []phrase{
		{regexp.MustCompile(`^(--\S+?)(=\S+)? must be one of (.*) but got "(.*)"$`), `$1: invalid value "$4": expected one of $3`},
		{regexp.MustCompile(`^(--\S+): expected .* but got "EOL" .*$`), `$1: missing value`},
		{regexp.MustCompile(`^(--\S+): bool value must be .* but got "?(.*?)"?$`), `$1 takes no value, got "$2"`},
		{regexp.MustCompile(`^expected one of .*$`), `missing command`},
	}
})

type phrase struct {
	kong  *regexp.Regexp
	plain string
}

// Plain is an error of the parser, kong, in the program's own words.
func Plain(text string) string {
	for _, x := range phrases() {
		if x.kong.MatchString(text) {
			return strings.ReplaceAll(x.kong.ReplaceAllString(text, x.plain), `"",`, "")
		}
	}
	if flags, ok := strings.CutPrefix(text, "missing flags: "); ok {
		return "missing " + flagValues().ReplaceAllString(flags, "")
	}
	if names, ok := strings.CutPrefix(text, `expected "<`); ok {
		return "missing " + strings.ToUpper(strings.NewReplacer("<", "", ">", "", `"`, "", " ...", "").Replace(names))
	}
	return text
}

// flagValues are the values of flags, as kong names them.
var flagValues = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`=\S+?\b`) })
