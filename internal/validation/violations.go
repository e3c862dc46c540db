package validation

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrUndecodable says that the bytes of a body are no text, or hold numbers or nesting beyond what can be read: 400.
var ErrUndecodable = errors.New("There was an error parsing the body") //nolint:staticcheck // It is the sentence that clients see.

// Violation is one way in which a request does not fit the contract. Its fields are written in this order and there is never another one.
type Violation struct {
	// Loc leads to the value: "path", "query", "header", "cookie" or "body", then names and list positions.
	Loc []any `json:"loc"`
	// Msg is the sentence for people.
	Msg string `json:"msg"`
	// Type is the name for programs.
	Type string `json:"type"`
}

// Error is a request that does not fit the contract: 422. Marshalled, it is the contract's HTTPValidationError.
type Error struct {
	Violations []Violation `json:"detail"`
}

// Error names the places and types, never a value of the request, so that it may be logged.
func (e *Error) Error() string {
	places := make([]string, len(e.Violations))
	for i, violation := range e.Violations {
		places[i] = fmt.Sprintf("%v %s", violation.Loc, violation.Type)
	}
	return "the request does not fit the contract: " + strings.Join(places, ", ")
}

// Sentence says what is wrong for people, where there is one sentence for all: "token: Field required".
func (e *Error) Sentence() string {
	sentences := make([]string, len(e.Violations))
	for i, violation := range e.Violations {
		steps := make([]string, len(violation.Loc))
		for j, step := range violation.Loc {
			steps[j] = fmt.Sprint(step)
		}
		sentences[i] = strings.Join(steps[min(1, len(steps)):], ".") + ": " + violation.Msg
	}
	return strings.Join(sentences, "; ")
}

// ValueError is the rejection for a rule that no schema can express, with a sentence about the value at loc.
func ValueError(sentence string, loc ...any) *Error {
	return &Error{Violations: []Violation{valueError(sentence).at(loc)}}
}

// Within is the same rejection of a value that came within another place: that of its parameter in a query is left out.
func (e *Error) Within(loc ...any) *Error {
	moved := &Error{Violations: slices.Clone(e.Violations)}
	for i, violation := range moved.Violations {
		moved.Violations[i].Loc = append(slices.Clone(loc), violation.Loc[1:]...)
	}
	return moved
}

// StringType is the rejection of a value at loc that must be a string, for members that the schema leaves open.
func StringType(loc ...any) *Error {
	return &Error{Violations: []Violation{stringType().at(loc)}}
}

// problem is a violation without its location.
type problem struct{ kind, msg string }

func (p problem) at(loc []any) Violation { return Violation{Loc: loc, Msg: p.msg, Type: p.kind} }

// The constructors below are the only place that has the reference's sentences. Each is named after its type.

func missing() problem { return problem{"missing", "Field required"} }

func extraForbidden() problem { return problem{"extra_forbidden", "Extra inputs are not permitted"} }
func jsonInvalid() problem    { return problem{"json_invalid", "JSON decode error"} }

func valueError(sentence string) problem { return problem{"value_error", "Value error, " + sentence} }

func stringType() problem { return problem{"string_type", "Input should be a valid string"} }

func stringUnicode() problem {
	return problem{"string_unicode", "Input should be a valid string, unable to parse raw data as a unicode string"}
}

func stringTooLong(limit uint64) problem {
	return problem{"string_too_long", "String should have at most " + count(limit, "character")}
}

func stringTooShort(limit uint64) problem {
	return problem{"string_too_short", "String should have at least " + count(limit, "character")}
}

func stringPatternMismatch(pattern string) problem {
	return problem{"string_pattern_mismatch", "String should match pattern '" + pattern + "'"}
}

func boolType() problem { return problem{"bool_type", "Input should be a valid boolean"} }

func boolParsing() problem {
	return problem{"bool_parsing", "Input should be a valid boolean, unable to interpret input"}
}

func intType() problem { return problem{"int_type", "Input should be a valid integer"} }

func intParsing() problem {
	return problem{"int_parsing", "Input should be a valid integer, unable to parse string as an integer"}
}

func intParsingSize() problem {
	return problem{"int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"}
}

func intFromFloat() problem {
	return problem{"int_from_float", "Input should be a valid integer, got a number with a fractional part"}
}

func floatType() problem { return problem{"float_type", "Input should be a valid number"} }

func floatParsing() problem {
	return problem{"float_parsing", "Input should be a valid number, unable to parse string as a number"}
}

func finiteNumber() problem { return problem{"finite_number", "Input should be a finite number"} }

func multipleOf(n float64) problem {
	return problem{"multiple_of", "Input should be a multiple of " + decimal(n)}
}

func lessThanEqual(n float64) problem {
	return problem{"less_than_equal", "Input should be less than or equal to " + decimal(n)}
}

func lessThan(n float64) problem {
	return problem{"less_than", "Input should be less than " + decimal(n)}
}

func greaterThanEqual(n float64) problem {
	return problem{"greater_than_equal", "Input should be greater than or equal to " + decimal(n)}
}

func greaterThan(n float64) problem {
	return problem{"greater_than", "Input should be greater than " + decimal(n)}
}

func listType() problem { return problem{"list_type", "Input should be a valid list"} }
func dictType() problem { return problem{"dict_type", "Input should be a valid dictionary"} }

func modelAttributesType() problem {
	return problem{"model_attributes_type", "Input should be a valid dictionary or object to extract fields from"}
}

// tooLong and tooShort are about a "List" or a "Dictionary".
func tooLong(what string, limit uint64, have int) problem {
	return problem{"too_long", fmt.Sprintf("%s should have at most %s after validation, not %d", what, count(limit, "item"), have)}
}

func tooShort(what string, limit uint64, have int) problem {
	return problem{"too_short", fmt.Sprintf("%s should have at least %s after validation, not %d", what, count(limit, "item"), have)}
}

// notAllowed is about a value outside its enumeration. The reference has two kinds: a component is an Enum class, an
// enumeration in place is a Literal.
func notAllowed(allowed []any, class bool) problem {
	kind := "literal_error"
	if class {
		kind = "enum"
	}
	words := make([]string, len(allowed))
	for i, value := range allowed {
		words[i] = repr(value)
	}
	list := strings.Join(words, ", ")
	if last := len(words) - 1; last > 0 {
		list = strings.Join(words[:last], ", ") + " or " + words[last]
	}
	return problem{kind, "Input should be " + list}
}

func datetimeType() problem { return problem{"datetime_type", "Input should be a valid datetime"} }

func datetimeFromDateParsing(reason string) problem {
	return problem{"datetime_from_date_parsing", "Input should be a valid datetime or date, " + reason}
}

func dateType() problem { return problem{"date_type", "Input should be a valid date"} }

func dateFromDatetimeParsing(reason string) problem {
	return problem{"date_from_datetime_parsing", "Input should be a valid date or datetime, " + reason}
}

func dateFromDatetimeInexact() problem {
	return problem{"date_from_datetime_inexact", "Datetimes provided to dates should have zero time - e.g. be exact dates"}
}

func uuidType() problem {
	return problem{"uuid_type", "UUID input should be a string, bytes or UUID object"}
}

func uuidParsing(reason string) problem {
	return problem{"uuid_parsing", "Input should be a valid UUID, " + reason}
}

func ipAnyAddress() problem {
	return problem{"ip_any_address", "value is not a valid IPv4 or IPv6 address"}
}

func count(n uint64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.FormatUint(n, 10) + " " + noun
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// repr writes a value of the document as Python does.
func repr(value any) string {
	switch value := value.(type) {
	case nil:
		return "None"
	case bool:
		if value {
			return "True"
		}
		return "False"
	case string:
		quote := "'"
		if strings.Contains(value, "'") && !strings.Contains(value, `"`) {
			quote = `"`
		}
		return quote + strings.NewReplacer(`\`, `\\`, quote, `\`+quote, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(value) + quote
	case float64:
		return decimal(value)
	default:
		return fmt.Sprint(value)
	}
}
