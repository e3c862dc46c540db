package validation

import (
	"math"
	"strconv"
	"strings"
)

// maxDigits is the length of the longest integer that the reference reads.
const maxDigits = 4300

// unreadable stands for a text that is no value of its schema's type. No schema with a type accepts it.
type unreadable struct{ problem problem }

// readText converts a text into a value of the schema's type. A type that has no form in text keeps the text.
func readText(n *node, text string) any {
	switch n.kind {
	case integerKind:
		return readInteger(text)
	case numberKind:
		return readNumber(text)
	case booleanKind:
		return readBoolean(text)
	default:
		return text
	}
}

// canonical formats a value of readText in the one form that the generated binding always accepts.
func canonical(n *node, value any) string {
	switch value := value.(type) {
	case int64:
		return strconv.FormatInt(value, 10)
	case float64:
		return strconv.FormatFloat(clamp(n, value), 'g', -1, 64)
	case bool:
		return strconv.FormatBool(value)
	case string:
		if n.schema.Format == "date-time" {
			return capital(value)
		}
		return value
	default:
		return ""
	}
}

// readBoolean accepts the reference's words in any case, without surrounding spaces.
func readBoolean(text string) any {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "on", "1":
		return true
	case "false", "f", "no", "n", "off", "0":
		return false
	}
	return unreadable{boolParsing()}
}

// readInteger takes an integer of up to 4300 digits as the reference does, oddities included: blanks around it, a plus
// sign, leading zeros, single underscores and a fraction of zeros. What does not fit into 64 bits becomes the nearest
// integer that does: no sane bound lies beyond, and the generated code holds no more.
func readInteger(text string) any {
	if tooManyDigits(text) {
		return unreadable{intParsingSize()}
	}
	if !canonicalInteger(text) {
		stripped, ok := stripInteger(text)
		if !ok || len(stripped) > maxDigits || !canonicalInteger(stripped) {
			return unreadable{intParsing()}
		}
		text = stripped
	}
	n, _ := strconv.ParseInt(text, 10, 64) // Out of range, it gives the nearest value.
	return n
}

// canonicalInteger reports whether all of the text matches -?(0|[1-9][0-9]*).
func canonicalInteger(text string) bool {
	text = strings.TrimPrefix(text, "-")
	return text == "0" || text != "" && text[0] != '0' && digits(text)
}

// tooManyDigits reports whether the text begins with an integer of more than 4300 characters, its sign included.
func tooManyDigits(text string) bool {
	if len(text) <= maxDigits {
		return false
	}
	start := strings.TrimPrefix(text[:maxDigits+1], "-")
	return start[0] != '0' && digits(start)
}

// stripInteger removes what may surround a canonical integer. Zeros and underscores before the first other character go
// together, and that character may be a minus sign: "0-1" is -1. It is a bug of the reference, reproduced.
func stripInteger(text string) (string, bool) {
	text, plus := strings.CutPrefix(strings.TrimSpace(text), "+")
	text, minus := strings.CutPrefix(text, "-")
	if plus && minus {
		return "", false
	}
	if text == "" || text[0] < '0' || text[0] > '9' {
		return "", false
	}
	text, ok := stripZeros(text)
	if !ok {
		return "", false
	}
	if whole, fraction, found := strings.Cut(text, "."); found && fraction != "" && strings.Trim(fraction, "0") == "" {
		text = whole
	}
	if !strings.HasPrefix(text, "_") && !strings.HasSuffix(text, "_") && !strings.Contains(text, "__") {
		text = strings.ReplaceAll(text, "_", "")
	}
	if minus {
		text = "-" + text
	}
	return text, true
}

func stripZeros(text string) (string, bool) {
	if text[0] != '0' {
		return text, true
	}
	rest := strings.TrimLeft(text, "0_")
	switch {
	case rest == "":
		return text[len(text)-1:], true
	case rest[0] == '-' || '1' <= rest[0] && rest[0] <= '9':
		return rest, true
	case rest[0] == '.':
		return text[len(text)-len(rest)-1:], true
	default:
		return "", false
	}
}

// readNumber accepts what Python's float accepts: blanks around it, single underscores between digits. JSON has no infinity
// and no NaN, so these are refused by name.
func readNumber(text string) any {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "xXpP") || strings.Contains(text, "__") {
		return unreadable{floatParsing()}
	}
	if !betweenDigits(text) {
		return unreadable{floatParsing()}
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	switch {
	case math.IsInf(n, 0) || math.IsNaN(n):
		return unreadable{finiteNumber()}
	case err != nil:
		return unreadable{floatParsing()}
	}
	return n
}

// betweenDigits reports whether every underscore has a digit on both sides.
func betweenDigits(text string) bool {
	for i := range len(text) {
		if text[i] != '_' {
			continue
		}
		if i == 0 || i == len(text)-1 || !digits(text[i-1:i]) || !digits(text[i+1:i+2]) {
			return false
		}
	}
	return true
}
