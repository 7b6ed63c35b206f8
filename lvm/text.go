package lvm

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where a text is not what was expected.
type SyntaxError struct {
	Byte int // of the text, from 0
	Line int // from 1
	Why  string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, byte %d: %s", e.Line, e.Byte, e.Why)
}

// maxDepth is how deep sections may stand in each other. LVM's stand four deep.
const maxDepth = 64

// parser reads a text in one pass, and keeps nothing of it: what stands in it goes to who
// asks, entry by entry, and what nobody asks for is skipped.
type parser struct {
	text  []byte
	at    int
	depth int
	// opened: the entry that is being read is a section, of which the brace was read.
	opened bool
}

func (p *parser) fails(format string, args ...any) error { return p.failsAt(p.at, format, args...) }

func (p *parser) failsAt(at int, format string, args ...any) error {
	return &SyntaxError{at, 1 + bytes.Count(p.text[:at], []byte("\n")), fmt.Sprintf(format, args...)}
}

// blanks skips blanks and comments, and returns the byte behind them, 0 at the end of the
// text, which LVM ends with a zero byte.
func (p *parser) blanks() byte {
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r', '\v', '\f':
		case '#':
			n := bytes.IndexByte(p.text[p.at:], '\n')
			if n < 0 {
				p.at = len(p.text)
				return 0
			}
			p.at += n
		default:
			return c
		}
	}
	return 0
}

// take skips blanks and one byte, where that is the next one.
func (p *parser) take(c byte) bool {
	if p.blanks() != c || p.at == len(p.text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) all(use func(key string) error) error {
	for p.blanks() != 0 {
		if err := p.entry(use); err != nil {
			return err
		}
	}
	if rest := bytes.TrimRight(p.text[p.at:], "\x00"); len(rest) > 0 {
		return p.fails("a zero byte in the text")
	}
	return nil
}

// each reads the entries of the section that was opened, and its end. use is called when
// the name of each has been read, and must read its content.
func (p *parser) each(use func(key string) error) error {
	if !p.opened {
		return p.fails("expected a section")
	}
	if p.depth++; p.depth > maxDepth {
		return p.fails("sections stand more than %d deep in each other", maxDepth)
	}
	for !p.take('}') {
		if p.blanks() == 0 {
			return p.fails("the text ends in a section")
		}
		if err := p.entry(use); err != nil {
			return err
		}
	}
	p.depth--
	return nil
}

func (p *parser) entry(use func(key string) error) error {
	key, err := p.name()
	if err != nil {
		return err
	}
	switch {
	case p.take('{'):
		p.opened = true
	case p.take('='):
		p.opened = false
	default:
		return p.fails("expected a brace or an equals sign behind %q", key)
	}
	return use(key)
}

func (p *parser) name() (string, error) {
	if c := p.blanks(); c == '"' || c == '\'' {
		return p.quoted()
	}
	start := p.at
	for ; p.at < len(p.text) && isName(p.text[p.at]); p.at++ {
	}
	if p.at == start {
		return "", p.fails("expected a name, got %q", p.text[p.at])
	}
	return string(p.text[start:p.at]), nil
}

func isName(c byte) bool {
	switch c {
	case '{', '}', '[', ']', '=', ',', '#', '"', '\'':
		return false
	}
	return c > ' ' && c != 0x7f
}

func (p *parser) quoted() (string, error) {
	start, quote := p.at, p.text[p.at]
	var b []byte
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == quote:
			p.at++
			return string(b), nil
		case c == '\\' && quote == '"' && p.at+1 < len(p.text):
			p.at++
			c = p.text[p.at]
		case c == 0:
			return "", p.fails("a zero byte in a string")
		}
		b = append(b, c)
	}
	return "", p.failsAt(start, "a string that does not end")
}

// A scalar is a string or a number. A float has neither: nothing that is asked for is one.
type scalar struct {
	at     int
	text   string
	number int64
	kind   scalarKind
}

type scalarKind int

const (
	isString scalarKind = iota
	isNumber
	isFloat
)

func (p *parser) scalar() (s scalar, err error) {
	c := p.blanks()
	s.at = p.at
	switch {
	case c == '"' || c == '\'':
		s.text, err = p.quoted()
		return s, err
	case c == 0:
		return s, p.fails("expected a value")
	case c != '+' && c != '-' && c != '.' && (c < '0' || c > '9'):
		s.text, err = p.name() // LVM takes a word for a string
		return s, err
	}
	for ; p.at < len(p.text) && isName(p.text[p.at]); p.at++ {
	}
	word := string(p.text[s.at:p.at])
	if s.number, err = strconv.ParseInt(word, 10, 64); err == nil {
		s.kind = isNumber
		return s, nil
	}
	if _, err = strconv.ParseFloat(word, 64); err == nil {
		s.kind = isFloat
		return s, nil
	}
	return s, p.failsAt(s.at, "not a number: %q", word)
}

// value reads the content of an entry that is a value, scalar by scalar.
func (p *parser) value(use func(scalar) error) (list bool, err error) {
	if p.opened {
		return false, p.fails("a section, expected a value")
	}
	next := func() error {
		s, err := p.scalar()
		if err != nil {
			return err
		}
		return use(s)
	}
	if !p.take('[') {
		return false, next()
	}
	for !p.take(']') {
		if err := next(); err != nil {
			return true, err
		}
		if !p.take(',') && p.blanks() != ']' {
			return true, p.fails("expected a comma or the end of the list")
		}
	}
	return true, nil
}

func (p *parser) skip() error {
	if p.opened {
		return p.each(func(string) error { return p.skip() })
	}
	_, err := p.value(func(scalar) error { return nil })
	return err
}

// one reads a value that is one scalar of a kind.
func (p *parser) one(kind scalarKind) (s scalar, err error) {
	list, err := p.value(func(v scalar) error {
		s = v
		return nil
	})
	switch {
	case err != nil:
		return s, err
	case list:
		return s, p.fails("a list, expected one value")
	case s.kind != kind:
		return s, p.failsAt(s.at, "expected %s", [...]string{"a string", "a number"}[kind])
	}
	return s, nil
}

func (p *parser) string(to *string) error {
	s, err := p.one(isString)
	*to = s.text
	return err
}

// shown reads a string that people are shown, quoted where it would do something to a
// terminal.
func (p *parser) shown(to *string) error {
	err := p.string(to)
	if strings.ContainsFunc(*to, func(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }) {
		*to = strconv.Quote(*to)
	}
	return err
}

func (p *parser) number(to *uint64) error {
	s, err := p.one(isNumber)
	if err == nil && (s.number < 0 || s.number > math.MaxInt64/SectorSize) {
		err = p.failsAt(s.at, "%d is out of range", s.number)
	}
	*to = uint64(s.number)
	return err
}

// list reads a list; a single value is a list of one.
func (p *parser) list(use func(scalar) error) error {
	_, err := p.value(use)
	return err
}

// strings reads a list of strings, in place of what there was. Others in it are left out.
func (p *parser) strings(to *[]string) error {
	*to = nil
	return p.list(func(s scalar) error {
		if s.kind == isString {
			*to = append(*to, s.text)
		}
		return nil
	})
}

// flags reads a list of strings, and notes which of some are among them.
func (p *parser) flags(all map[string]*bool) error {
	return p.list(func(s scalar) error {
		if s.kind != isString {
			return p.failsAt(s.at, "expected a string")
		}
		if flag := all[s.text]; flag != nil {
			*flag = true
		}
		return nil
	})
}
