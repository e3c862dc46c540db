package validation

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/runtime/types"
)

// anyAddress is the format that schema.go writes for what is ipv4 or ipv6.
const anyAddress = "ipvanyaddress"

// formatOptions are the formats that are checked. Each accepts exactly what the Go type of the generated code can be bound
// to, so that a value that is valid never fails later.
func formatOptions() []openapi3.SchemaValidationOption {
	check := func(accepts func(string) error) openapi3.StringFormatValidator {
		return openapi3.NewCallbackValidator(accepts)
	}
	return []openapi3.SchemaValidationOption{
		openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
			"date-time": check(isDateTime),
			"date":      check(isDate),
			"uuid":      check(isUUID),
			anyAddress:  check(isIPAddress),
			"ipv4":      check(isIPv4),
			"ipv6":      check(isIPv6),
			"email":     check(isEmail),
			"byte":      check(isBase64),
		}),
	}
}

// isDateTime accepts RFC 3339, whose T and Z may be small letters, with years 0000 to 9999. The comma that time.Time takes for a decimal point
// is ISO 8601's only.
func isDateTime(text string) error {
	if strings.Contains(text, ",") {
		return errors.New("a comma in the seconds")
	}
	var t time.Time
	return t.UnmarshalText([]byte(capital(text)))
}

// capital writes a time with the capital letters that time.Time needs.
func capital(text string) string { return strings.ToUpper(text) }

func isDate(text string) error {
	_, err := time.Parse(time.DateOnly, text)
	return err
}

func isUUID(text string) error {
	if reason := uuidReason(text); reason != "" {
		return errors.New(reason)
	}
	return nil
}

// isIPAddress refuses zones: they name an interface of the sender's machine and mean nothing here.
func isIPAddress(text string) error {
	address, err := netip.ParseAddr(text)
	if err == nil && address.Zone() != "" {
		err = errors.New("an address with a zone")
	}
	return err
}

func isIPv4(text string) error {
	if address, err := netip.ParseAddr(text); err != nil || !address.Is4() {
		return errors.New("no IPv4 address")
	}
	return nil
}

func isIPv6(text string) error {
	if address, err := netip.ParseAddr(text); err != nil || !address.Is6() || address.Zone() != "" {
		return errors.New("no IPv6 address")
	}
	return nil
}

func isEmail(text string) error {
	var email types.Email
	return email.UnmarshalJSON([]byte(strconv.Quote(text)))
}

func isBase64(text string) error {
	_, err := base64.StdEncoding.DecodeString(text)
	return err
}

// formatProblem is the problem of a string that does not have the format.
func formatProblem(format, text string) problem {
	switch format {
	case "date-time":
		return datetimeFromDateParsing(datetimeReason(text))
	case "date":
		return dateProblem(text)
	case "uuid":
		return uuidParsing(uuidReason(text))
	case anyAddress:
		return ipAnyAddress()
	case "email":
		return problem{"value_error", "value is not a valid email address"}
	default:
		return valueError("the text does not have the format " + format)
	}
}

const (
	tooShortText     = "input is too short"
	extraCharacters  = "unexpected extra characters at the end of the input"
	noDatetimeMark   = "invalid datetime separator, expected `T`, `t`, `_` or space"
	dateLength       = len(time.DateOnly)
	uuidLength       = 36
	uuidSimpleLength = 32
)

// datetimeReason is why the reference cannot read a text as a date, which it tries last. A text that is a date and no more
// it would take as midnight; the schema does not, and what the text lacks is the rest.
func datetimeReason(text string) string {
	if reason := dateReason(text); reason != "" {
		return reason
	}
	if len(text) == dateLength {
		return tooShortText
	}
	return extraCharacters
}

// dateProblem is the problem of a text that is not a date. The reference tries a datetime last, and takes one at midnight.
func dateProblem(text string) problem {
	if reason := dateReason(text); reason != "" {
		return dateFromDatetimeParsing(reason)
	}
	if len(text) > dateLength && !strings.ContainsRune("Tt_ ", rune(text[dateLength])) {
		return dateFromDatetimeParsing(noDatetimeMark)
	}
	if isDateTime(text) == nil {
		return dateFromDatetimeInexact()
	}
	return dateFromDatetimeParsing(extraCharacters)
}

// dateReason is why the first ten characters of a text are no date; "" if they are one.
func dateReason(text string) string {
	if len(text) < dateLength {
		return tooShortText
	}
	switch {
	case !digits(text[0:4]):
		return "invalid character in year"
	case text[4] != '-':
		return "invalid date separator, expected `-`"
	case !digits(text[5:7]):
		return "invalid character in month"
	case text[7] != '-':
		return "invalid date separator, expected `-`"
	case !digits(text[8:10]):
		return "invalid character in day"
	case text[5:7] < "01" || text[5:7] > "12":
		return "month value is outside expected range of 1-12"
	case isDate(text[:dateLength]) != nil:
		return "day value is outside expected range"
	default:
		return ""
	}
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// uuidReason is why a text is no UUID in its five groups; "" if it is one. The reference also takes the spellings with
// braces, with urn:uuid: and without hyphens; the schema does not.
func uuidReason(text string) string {
	body, offset := text, 0
	switch {
	case len(text) > 1 && text[0] == '{' && text[len(text)-1] == '}':
		body, offset = text[1:len(text)-1], 1
	case strings.HasPrefix(text, "urn:uuid:"):
		body, offset = text[len("urn:uuid:"):], len("urn:uuid:")
	}
	for i, c := range body {
		if c != '-' && !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return fmt.Sprintf("invalid character: expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found `%c` at %d", c, i+offset+1)
		}
	}
	groups := strings.Split(body, "-")
	if len(groups) == 1 && offset == 0 && len(text) != uuidSimpleLength {
		return fmt.Sprintf("invalid length: expected length 32 for simple format, found %d", len(text))
	}
	if len(groups) != 5 {
		return fmt.Sprintf("invalid group count: expected 5, found %d", len(groups))
	}
	for i, want := range [...]int{8, 4, 4, 4, 12} {
		if len(groups[i]) != want {
			return fmt.Sprintf("invalid group length in group %d: expected %d, found %d", i, want, len(groups[i]))
		}
	}
	if len(text) != uuidLength {
		return fmt.Sprintf("invalid length: expected length %d for hyphenated format, found %d", uuidLength, utf8.RuneCountInString(text))
	}
	return ""
}

// integerRange is the range of an integer format. The reference knows no such ranges and would say just this of a bound.
func integerRange(format string) (low, high float64) {
	if format == "int32" {
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}
