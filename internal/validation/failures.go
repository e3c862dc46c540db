package validation

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// entriesFor turns kin-openapi's failures about a value into entries: those of the declared fields in declared order, list
// items by position, the first applicable failure for each place. A failure that has no entry of its own (anyOf, oneOf,
// allOf, not, uniqueItems) is told as a value_error at its place, so there is never a failure without an entry.
func entriesFor(n *node, value any, err error, doc *document, loc ...any) []Entry {
	t := teller{failed: map[string][]*openapi3.SchemaError{}, doc: doc}
	t.collect(err)
	t.value(n, value, "", loc)
	if len(t.entries) == 0 {
		t.tell(loc, valueError("the value does not fit the contract"))
	}
	return t.entries
}

// teller walks a value by its schema and tells what kin-openapi found at each place.
type teller struct {
	// failed has the failures by the JSON pointer of the value that they are about.
	failed  map[string][]*openapi3.SchemaError
	doc     *document
	entries []Entry
}

func (t *teller) tell(loc []any, p problem) { t.entries = append(t.entries, p.at(loc)) }

func (t *teller) collect(err error) {
	switch err := err.(type) { //nolint:errorlint // Neither is wrapped, and a search would go on into their causes.
	case openapi3.MultiError:
		for _, e := range err {
			t.collect(e)
		}
	case *openapi3.SchemaError:
		pointer := ""
		for _, key := range err.JSONPointer() {
			pointer = child(pointer, key)
		}
		t.failed[pointer] = append(t.failed[pointer], err)
	}
}

func child(pointer, key string) string {
	return pointer + "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

func below(loc []any, key any) []any { return append(slices.Clip(loc), key) }

// has reports whether the value at a place failed one of the keywords.
func (t *teller) has(pointer string, keywords ...string) bool {
	return slices.ContainsFunc(t.failed[pointer], func(e *openapi3.SchemaError) bool {
		return slices.Contains(keywords, e.SchemaField)
	})
}

func (t *teller) value(n *node, value any, pointer string, loc []any) {
	switch {
	case t.has(pointer, "enum"):
		t.tell(loc, notAllowed(n.schema.Enum, n.named))
	case t.has(pointer, "anyOf", "oneOf", "allOf", "not", "boolean", "discriminator"):
		t.tell(loc, valueError("the value fits none of the alternatives"))
	case t.has(pointer, "type", "nullable"):
		t.tell(loc, wrongType(n, value, t.doc))
	case n.kind == stringKind:
		t.string(n, value, pointer, loc)
	case n.kind == integerKind || n.kind == numberKind:
		t.number(n, pointer, loc)
	case n.kind == arrayKind:
		t.list(n, value, pointer, loc)
	case n.kind == objectKind || n.kind == anyKind:
		t.object(n, value, pointer, loc)
	}
}

func (t *teller) string(n *node, value any, pointer string, loc []any) {
	text, _ := value.(string)
	switch {
	case t.has(pointer, "maxLength"):
		t.tell(loc, stringTooLong(*n.schema.MaxLength))
	case t.has(pointer, "minLength"):
		t.tell(loc, stringTooShort(n.schema.MinLength))
	case t.has(pointer, "pattern"):
		t.tell(loc, stringPatternMismatch(n.schema.Pattern))
	case t.has(pointer, "format"):
		t.tell(loc, formatProblem(n.schema.Format, text))
	}
}

// number tells of the bounds. An exclusive bound is either a number of its own or a switch on the inclusive one.
func (t *teller) number(n *node, pointer string, loc []any) {
	s := n.schema
	low, high := integerRange(s.Format)
	switch {
	case t.has(pointer, "multipleOf"):
		t.tell(loc, multipleOf(*s.MultipleOf))
	case t.has(pointer, "maximum") && !s.ExclusiveMax.IsTrue():
		t.tell(loc, lessThanEqual(*s.Max))
	case t.has(pointer, "exclusiveMaximum", "maximum"):
		t.tell(loc, lessThan(bound(s.ExclusiveMax, s.Max)))
	case t.has(pointer, "minimum") && !s.ExclusiveMin.IsTrue():
		t.tell(loc, greaterThanEqual(*s.Min))
	case t.has(pointer, "exclusiveMinimum", "minimum"):
		t.tell(loc, greaterThan(bound(s.ExclusiveMin, s.Min)))
	case t.has(pointer, "format") && t.beyond(pointer, high):
		t.tell(loc, lessThanEqual(high))
	case t.has(pointer, "format"):
		t.tell(loc, greaterThanEqual(low))
	}
}

func bound(exclusive openapi3.ExclusiveBound, inclusive *float64) float64 {
	if exclusive.Value != nil {
		return *exclusive.Value
	}
	return *inclusive
}

func (t *teller) beyond(pointer string, high float64) bool {
	n, _ := t.failed[pointer][0].Value.(float64)
	return n > high
}

// list tells that a list is too long and no more: the reference stops reading there. It looks at the length from below
// only when all items are good.
func (t *teller) list(n *node, value any, pointer string, loc []any) {
	list, _ := value.([]any)
	if t.has(pointer, "maxItems") {
		t.tell(loc, tooLong("List", *n.schema.MaxItems, len(list)))
		return
	}
	before := len(t.entries)
	for i, item := range list {
		if n.items != nil {
			t.value(n.items, item, pointer+"/"+strconv.Itoa(i), below(loc, i))
		}
	}
	switch {
	case len(t.entries) > before:
	case t.has(pointer, "minItems"):
		t.tell(loc, tooShort("List", n.schema.MinItems, len(list)))
	case t.has(pointer, "uniqueItems"):
		t.tell(loc, valueError("the items must be different"))
	}
}

func (t *teller) object(n *node, value any, pointer string, loc []any) {
	object, _ := value.(map[string]any)
	before := len(t.entries)
	for _, f := range n.fields {
		member, present := object[f.name]
		place := child(pointer, f.name)
		if present {
			t.value(f.node, member, place, below(loc, f.name))
		} else if t.has(place, "required") {
			t.tell(below(loc, f.name), missing())
		}
	}
	t.others(n, object, pointer, loc)
	switch {
	case len(t.entries) > before:
	case t.has(pointer, "maxProperties"):
		t.tell(loc, tooLong("Dictionary", *n.schema.MaxProps, len(object)))
	case t.has(pointer, "minProperties"):
		t.tell(loc, tooShort("Dictionary", n.schema.MinProps, len(object)))
	}
}

// others tells of the members that are no fields, in the order of the request.
func (t *teller) others(n *node, object map[string]any, pointer string, loc []any) {
	if t.doc == nil || !n.closed && n.extra == nil {
		return
	}
	for _, name := range t.doc.keys[keysOf(object)] {
		if slices.ContainsFunc(n.fields, func(f field) bool { return f.name == name }) {
			continue
		}
		if n.closed {
			t.tell(below(loc, name), extraForbidden())
		} else {
			t.value(n.extra, object[name], child(pointer, name), below(loc, name))
		}
	}
}

// shortened leaves one item too many in a list that is too long. The entry says only that, and to explain what is wrong
// with each of half a million items would cost a gigabyte.
func shortened(n *node, value any) any {
	switch value := value.(type) {
	case []any:
		if limit := n.schema.MaxItems; limit != nil && uint64(len(value)) > *limit {
			return value[:*limit+1]
		}
		if n.items == nil {
			return value
		}
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = shortened(n.items, item)
		}
		return list
	case map[string]any:
		object := maps.Clone(value)
		for name, member := range object {
			if described := n.member(name); described != nil {
				object[name] = shortened(described, member)
			}
		}
		return object
	default:
		return value
	}
}

// foreign is a body that was not read because its type is not JSON.
type foreign struct{}

// wrongType words the failure of a value of another kind than the schema's. Where the reference would convert it, the
// schema does not, and the entry is the one for a value of that kind that cannot be read.
func wrongType(n *node, value any, doc *document) problem {
	if text, ok := value.(unreadable); ok {
		return text.problem
	}
	switch n.kind {
	case stringKind:
		return wrongString(n.schema.Format)
	case integerKind:
		return wrongInteger(value)
	case numberKind:
		return wrongNumber(value)
	case booleanKind:
		return wrongBoolean(value, doc)
	case arrayKind:
		return listType()
	case objectKind:
		if n.named || len(n.fields) > 0 {
			return modelAttributesType()
		}
		return dictType()
	default:
		return valueError("the value fits none of the alternatives")
	}
}

func wrongString(format string) problem {
	switch format {
	case "date-time":
		return datetimeType()
	case "date":
		return dateType()
	case "uuid":
		return uuidType()
	case "ipvanyaddress":
		return ipAnyAddress()
	default:
		return stringType()
	}
}

func wrongInteger(value any) problem {
	switch value.(type) {
	case string:
		return intParsing()
	case json.Number:
		return intFromFloat()
	case nonFinite:
		return finiteNumber()
	default:
		return intType()
	}
}

func wrongNumber(value any) problem {
	switch value.(type) {
	case string:
		return floatParsing()
	case nonFinite:
		return finiteNumber()
	default:
		return floatType()
	}
}

// wrongBoolean tells numbers apart as the reference does: what fits into 64 bits and is whole could have been 0 or 1.
func wrongBoolean(value any, doc *document) problem {
	switch value := value.(type) {
	case string:
		if doc != nil && doc.unpaired[value] {
			return stringUnicode()
		}
		return boolParsing()
	case json.Number:
		if wholeIn64Bits(string(value)) {
			return boolParsing()
		}
	}
	return boolType()
}

func wholeIn64Bits(number string) bool {
	if !strings.ContainsAny(number, ".eE") {
		_, err := strconv.ParseInt(number, 10, 64)
		return err == nil
	}
	n, err := strconv.ParseFloat(number, 64)
	return err == nil && n == math.Trunc(n) && math.Abs(n) < 1<<63
}
