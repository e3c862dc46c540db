package validation

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep the reference's parser goes before it gives up.
const maxDepth = 9985

// document is a decoded JSON body.
type document struct {
	// value is nil, bool, string, json.Number, nonFinite, []any or map[string]any. The last of equal keys has won.
	value any
	// keys are the names of each object in the order of the text, by keysOf; kept only on request.
	keys map[uintptr][]string
	// unpaired are the strings that had half a surrogate pair escaped in them, which is U+FFFD in the value.
	unpaired map[string]bool
	// nonFinite says that there is at least one nonFinite somewhere.
	nonFinite bool
}

// nonFinite stands for NaN, an infinity or a float too large for float64: the reference reads them, JSON has no such
// values, and no schema with a type accepts this one. It is not a float, so that nothing can calculate with it.
type nonFinite struct{}

// keysOf names an object by its identity: a map has no room for the order of its keys.
func keysOf(object map[string]any) uintptr { return reflect.ValueOf(object).Pointer() }

// syntaxError is the position of the first unexpected character, in code points from the start of the text.
type syntaxError struct{ offset int }

func (e *syntaxError) Error() string {
	return "JSON syntax error at character " + strconv.Itoa(e.offset)
}

// decodeJSON reads a body as Python's json.loads does: RFC 8259, and NaN, Infinity and -Infinity besides. It fails with a
// *syntaxError, or with ErrUndecodable for what is well formed and still cannot be read.
func decodeJSON(body []byte, ordered bool) (*document, error) {
	text, err := decodeText(body)
	if err != nil {
		return nil, err
	}
	p := parser{text: text}
	if ordered {
		p.doc.keys = map[uintptr][]string{}
	}
	p.skipSpace()
	p.doc.value = p.read()
	p.skipSpace()
	if p.err == nil && p.pos < len(p.text) {
		p.fail(p.pos)
	}
	return &p.doc, p.err
}

// parser reads the text once. After the first error, which is in err, every method returns at once.
type parser struct {
	text  string
	pos   int
	depth int
	err   error
	doc   document
}

// fail records the first error, at a byte of the text.
func (p *parser) fail(at int) {
	if p.err == nil {
		p.err = &syntaxError{offset: utf8.RuneCountInString(p.text[:at])}
	}
}

// peek is the next byte, 0 at the end: a NUL is an error everywhere but in a string, as the end is.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *parser) skipSpace() {
	for p.pos < len(p.text) && p.text[p.pos] <= ' ' && strings.IndexByte(" \t\n\r", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) take(word string) bool {
	found := strings.HasPrefix(p.text[p.pos:], word)
	if found {
		p.pos += len(word)
	}
	return found
}

func (p *parser) read() any {
	switch {
	case p.peek() == '"':
		return p.string()
	case p.peek() == '{':
		return p.nest(p.object)
	case p.peek() == '[':
		return p.nest(p.array)
	case p.take("null"):
		return nil
	case p.take("true"):
		return true
	case p.take("false"):
		return false
	case p.take("NaN"), p.take("Infinity"), p.take("-Infinity"):
		p.doc.nonFinite = true
		return nonFinite{}
	}
	return p.number()
}

func (p *parser) nest(read func() any) any {
	if p.depth++; p.depth > maxDepth {
		p.err = ErrUndecodable
		return nil
	}
	p.pos++
	p.skipSpace()
	value := read()
	p.depth--
	return value
}

func (p *parser) object() any {
	object := map[string]any{}
	if p.peek() == '}' {
		p.pos++
		return object
	}
	for p.err == nil {
		if p.peek() != '"' {
			p.fail(p.pos)
			break
		}
		name := p.string()
		if !p.colon() {
			break
		}
		value := p.read()
		p.recordKey(object, name)
		object[name] = value
		if p.endOrComma('}') {
			break
		}
	}
	return object
}

func (p *parser) colon() bool {
	p.skipSpace()
	if p.err == nil && p.peek() != ':' {
		p.fail(p.pos)
	}
	p.pos++
	p.skipSpace()
	return p.err == nil
}

// recordKey keeps the order of the keys; a repeated one stays in its first place, as in a Python dictionary.
func (p *parser) recordKey(object map[string]any, name string) {
	if p.doc.keys == nil {
		return
	}
	if _, known := object[name]; !known {
		p.doc.keys[keysOf(object)] = append(p.doc.keys[keysOf(object)], name)
	}
}

func (p *parser) array() any {
	list := []any{}
	if p.peek() == ']' {
		p.pos++
		return list
	}
	for p.err == nil {
		list = append(list, p.read())
		if p.endOrComma(']') {
			break
		}
	}
	return list
}

// endOrComma skips the closing bracket and returns true, or skips the comma before the next element. A comma right before the
// bracket is itself the error.
func (p *parser) endOrComma(bracket byte) bool {
	if p.err != nil {
		return true
	}
	p.skipSpace()
	if p.peek() == bracket {
		p.pos++
		return true
	}
	comma := p.pos
	if p.peek() != ',' {
		p.fail(p.pos)
		return true
	}
	p.pos++
	p.skipSpace()
	if p.peek() == bracket {
		p.fail(comma)
	}
	return p.err != nil
}

// number reads as much of a number as there is: what follows is then one character too many. An integer keeps its text,
// unless float64 cannot hold it, for then kin-openapi could not compare it.
func (p *parser) number() any {
	whole := p.whole()
	if whole == 0 {
		p.fail(p.pos)
		return nil
	}
	start := p.pos
	p.pos += whole
	fraction := p.fraction() + p.exponent()
	number := json.Number(p.text[start:p.pos])
	if fraction == 0 && len(strings.TrimPrefix(string(number), "-")) > maxDigits {
		p.err = ErrUndecodable
		return nil
	}
	if _, err := number.Float64(); err == nil {
		return number
	}
	if fraction > 0 {
		p.doc.nonFinite = true
		return nonFinite{}
	}
	return largestInteger(strings.HasPrefix(string(number), "-"))
}

// largestInteger is the integer farthest from zero that float64 holds.
func largestInteger(negative bool) json.Number {
	n := math.MaxFloat64
	if negative {
		n = -n
	}
	return json.Number(decimal(n))
}

// whole is the length of the integer that starts here, 0 if none does.
func (p *parser) whole() int {
	rest := p.text[p.pos:]
	unsigned := strings.TrimPrefix(rest, "-")
	sign := len(rest) - len(unsigned)
	switch n := leadingDigits(unsigned); {
	case n == 0:
		return 0
	case unsigned[0] == '0':
		return sign + 1
	default:
		return sign + n
	}
}

func leadingDigits(text string) int {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return i
		}
	}
	return len(text)
}

func (p *parser) fraction() int {
	if p.peek() != '.' {
		return 0
	}
	return p.skipDigits(1)
}

func (p *parser) exponent() int {
	if c := p.peek(); c != 'e' && c != 'E' {
		return 0
	}
	if rest := p.text[p.pos+1:]; rest != "" && (rest[0] == '+' || rest[0] == '-') {
		return p.skipDigits(2)
	}
	return p.skipDigits(1)
}

// skipDigits skips a prefix of some length and the digits after it, if there are any, and returns how much it has skipped.
func (p *parser) skipDigits(prefix int) int {
	n := leadingDigits(p.text[p.pos+prefix:])
	if n == 0 {
		return 0
	}
	p.pos += prefix + n
	return n
}
