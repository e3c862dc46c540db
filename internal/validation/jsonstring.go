package validation

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeLength is the number of digits after \u.
const escapeLength = 4

// string reads the string whose opening quote is next.
func (p *parser) string() string {
	quote := p.pos
	p.pos++
	start := p.pos
	if p.pos = p.unescaped(); p.peek() != '\\' {
		return p.close(quote, p.text[start:p.pos])
	}
	p.pos = start
	var text strings.Builder
	unpaired := false
	for p.err == nil {
		end := p.unescaped()
		text.WriteString(p.text[p.pos:end])
		p.pos = end
		if p.peek() != '\\' {
			break
		}
		if p.pos+1 == len(p.text) {
			p.fail(quote)
			break
		}
		r, half := p.escape()
		unpaired = unpaired || half
		text.WriteRune(r)
	}
	if unpaired {
		p.recordUnpaired(text.String())
	}
	return p.close(quote, text.String())
}

// unescaped is the end of the characters from here that are neither escaped nor the closing quote.
func (p *parser) unescaped() int {
	for i := p.pos; i < len(p.text); i++ {
		if c := p.text[i]; c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return len(p.text)
}

// close skips the closing quote, which must come after the content.
func (p *parser) close(quote int, content string) string {
	if p.err != nil {
		return ""
	}
	switch {
	case p.pos == len(p.text):
		p.fail(quote)
	case p.text[p.pos] != '"':
		p.fail(p.pos)
	}
	p.pos++
	return content
}

func (p *parser) recordUnpaired(text string) {
	if p.doc.unpaired == nil {
		p.doc.unpaired = map[string]bool{}
	}
	p.doc.unpaired[text] = true
}

// escape reads one escape, or two that make one character, and reports whether it was half a pair.
func (p *parser) escape() (rune, bool) {
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.text[p.pos+1]
	if c == 'u' {
		return p.unicode()
	}
	i := strings.IndexByte(letters, c)
	if i < 0 {
		p.fail(p.pos)
		return utf8.RuneError, false
	}
	p.pos += 2
	return rune(meanings[i]), false
}

func (p *parser) unicode() (rune, bool) {
	first, ok := p.hex4(p.pos)
	if !ok {
		p.fail(p.pos + 1)
		return utf8.RuneError, false
	}
	p.pos += 2 + escapeLength
	if !utf16.IsSurrogate(first) {
		return first, false
	}
	second, _ := p.hex4(p.pos)
	pair := utf16.DecodeRune(first, second)
	if pair == utf8.RuneError {
		return pair, true
	}
	p.pos += 2 + escapeLength
	return pair, false
}

// hex4 is the value of the \uXXXX at a place. Four digits that end the text are none: the closing quote cannot follow.
func (p *parser) hex4(at int) (rune, bool) {
	end := at + 2 + escapeLength
	if end >= len(p.text) || p.text[at] != '\\' || p.text[at+1] != 'u' {
		return 0, false
	}
	for _, c := range []byte(p.text[at+2 : end]) {
		if !isHex(c) {
			return 0, false
		}
	}
	n, _ := strconv.ParseUint(p.text[at+2:end], 16, 32)
	return rune(n), true //nolint:gosec // Four hexadecimal digits fit.
}
