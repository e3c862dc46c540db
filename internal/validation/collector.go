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

// violationsOf turns kin-openapi's errors about a value into violations: those of the declared fields in declared order, list
// items by position, the first applicable one for each location. An error without a type of its own in the reference (anyOf, oneOf,
// allOf, not, uniqueItems) becomes a value_error at its location, so there is never an error without a violation.
func violationsOf(n *node, value any, err error, doc *document, loc ...any) []Violation {
	c := collector{failed: map[string][]*openapi3.SchemaError{}, doc: doc}
	c.group(err)
	c.value(n, value, "", loc)
	if len(c.violations) == 0 {
		c.add(loc, valueError("the value does not fit the contract"))
	}
	return c.violations
}

// collector walks a value along its schema and collects a violation for what kin-openapi found at each location.
type collector struct {
	// failed has kin-openapi's errors by the JSON pointer of the value that they are about.
	failed     map[string][]*openapi3.SchemaError
	doc        *document
	violations []Violation
}

func (c *collector) add(loc []any, p problem) { c.violations = append(c.violations, p.at(loc)) }

// group sorts the errors by their JSON pointers.
func (c *collector) group(err error) {
	switch err := err.(type) { //nolint:errorlint // Neither is wrapped, and a search would go on into their causes.
	case openapi3.MultiError:
		for _, e := range err {
			c.group(e)
		}
	case *openapi3.SchemaError:
		pointer := ""
		for _, key := range err.JSONPointer() {
			pointer = child(pointer, key)
		}
		c.failed[pointer] = append(c.failed[pointer], err)
	}
}

func child(pointer, key string) string {
	return pointer + "/" + strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

func below(loc []any, key any) []any { return append(slices.Clip(loc), key) }

// has reports whether the value at a pointer failed one of the keywords.
func (c *collector) has(pointer string, keywords ...string) bool {
	return slices.ContainsFunc(c.failed[pointer], func(e *openapi3.SchemaError) bool {
		return slices.Contains(keywords, e.SchemaField)
	})
}

func (c *collector) value(n *node, value any, pointer string, loc []any) {
	switch {
	case c.has(pointer, "enum"):
		c.add(loc, notAllowed(n.schema.Enum, n.named))
	case c.has(pointer, "anyOf", "oneOf", "allOf", "not", "boolean", "discriminator"):
		c.add(loc, valueError("the value fits none of the alternatives"))
	case c.has(pointer, "type", "nullable"):
		c.add(loc, wrongType(n, value, c.doc))
	case n.kind == stringKind:
		c.string(n, value, pointer, loc)
	case n.kind == integerKind || n.kind == numberKind:
		c.number(n, pointer, loc)
	case n.kind == arrayKind:
		c.list(n, value, pointer, loc)
	case n.kind == objectKind || n.kind == anyKind:
		c.object(n, value, pointer, loc)
	}
}

func (c *collector) string(n *node, value any, pointer string, loc []any) {
	text, _ := value.(string)
	switch {
	case c.has(pointer, "maxLength"):
		c.add(loc, stringTooLong(*n.schema.MaxLength))
	case c.has(pointer, "minLength"):
		c.add(loc, stringTooShort(n.schema.MinLength))
	case c.has(pointer, "pattern"):
		c.add(loc, stringPatternMismatch(n.schema.Pattern))
	case c.has(pointer, "format"):
		c.add(loc, formatProblem(n.schema.Format, text))
	}
}

// number collects a violated bound. An exclusive bound is either a number of its own or a switch on the inclusive one.
func (c *collector) number(n *node, pointer string, loc []any) {
	s := n.schema
	low, high := integerRange(s.Format)
	switch {
	case c.has(pointer, "multipleOf"):
		c.add(loc, multipleOf(*s.MultipleOf))
	case c.has(pointer, "maximum") && !s.ExclusiveMax.IsTrue():
		c.add(loc, lessThanEqual(*s.Max))
	case c.has(pointer, "exclusiveMaximum", "maximum"):
		c.add(loc, lessThan(bound(s.ExclusiveMax, s.Max)))
	case c.has(pointer, "minimum") && !s.ExclusiveMin.IsTrue():
		c.add(loc, greaterThanEqual(*s.Min))
	case c.has(pointer, "exclusiveMinimum", "minimum"):
		c.add(loc, greaterThan(bound(s.ExclusiveMin, s.Min)))
	case c.has(pointer, "format") && c.beyond(pointer, high):
		c.add(loc, lessThanEqual(high))
	case c.has(pointer, "format"):
		c.add(loc, greaterThanEqual(low))
	}
}

func bound(exclusive openapi3.ExclusiveBound, inclusive *float64) float64 {
	if exclusive.Value != nil {
		return *exclusive.Value
	}
	return *inclusive
}

func (c *collector) beyond(pointer string, high float64) bool {
	n, _ := c.failed[pointer][0].Value.(float64)
	return n > high
}

// list collects that a list is too long and nothing else: the reference stops reading there. The minimum length is checked only
// when all items are valid.
func (c *collector) list(n *node, value any, pointer string, loc []any) {
	list, _ := value.([]any)
	if c.has(pointer, "maxItems") {
		c.add(loc, tooLong("List", *n.schema.MaxItems, len(list)))
		return
	}
	before := len(c.violations)
	for i, item := range list {
		if n.items != nil {
			c.value(n.items, item, pointer+"/"+strconv.Itoa(i), below(loc, i))
		}
	}
	switch {
	case len(c.violations) > before:
	case c.has(pointer, "minItems"):
		c.add(loc, tooShort("List", n.schema.MinItems, len(list)))
	case c.has(pointer, "uniqueItems"):
		c.add(loc, valueError("the items must be different"))
	}
}

func (c *collector) object(n *node, value any, pointer string, loc []any) {
	object, _ := value.(map[string]any)
	before := len(c.violations)
	for _, f := range n.fields {
		member, present := object[f.name]
		place := child(pointer, f.name)
		if present {
			c.value(f.node, member, place, below(loc, f.name))
		} else if c.has(place, "required") {
			c.add(below(loc, f.name), missing())
		}
	}
	c.others(n, object, pointer, loc)
	switch {
	case len(c.violations) > before:
	case c.has(pointer, "maxProperties"):
		c.add(loc, tooLong("Dictionary", *n.schema.MaxProps, len(object)))
	case c.has(pointer, "minProperties"):
		c.add(loc, tooShort("Dictionary", n.schema.MinProps, len(object)))
	}
}

// others collects the violations of members that are no fields, in the order of the request.
func (c *collector) others(n *node, object map[string]any, pointer string, loc []any) {
	if c.doc == nil || !n.closed && n.extra == nil {
		return
	}
	for _, name := range c.doc.keys[keysOf(object)] {
		if slices.ContainsFunc(n.fields, func(f field) bool { return f.name == name }) {
			continue
		}
		if n.closed {
			c.add(below(loc, name), extraForbidden())
		} else {
			c.value(n.extra, object[name], child(pointer, name), below(loc, name))
		}
	}
}

// truncated cuts a list that is too long to one item too many. The violation says only that, and explaining what is wrong with each
// of half a million items would cost a gigabyte.
func truncated(n *node, value any) any {
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
			list[i] = truncated(n.items, item)
		}
		return list
	case map[string]any:
		object := maps.Clone(value)
		for name, member := range object {
			if described := n.member(name); described != nil {
				object[name] = truncated(described, member)
			}
		}
		return object
	default:
		return value
	}
}

// unread stands for a body that was not read because its media type is not JSON.
type unread struct{}

// wrongType is the problem of a value of another type than the schema's. Where the reference would convert the value, the schema
// does not, and the problem is that of a value of that type that cannot be parsed.
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
	case anyAddress:
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

// wrongBoolean distinguishes numbers as the reference does: a whole one that fits into 64 bits could have been 0 or 1.
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
