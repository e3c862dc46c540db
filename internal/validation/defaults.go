package validation

import (
	"encoding/json"
	"strconv"
)

// A default of the document is filled in where a request leaves the value out, so that handlers need not repeat it. It
// stands for a plain value; a schema whose default is a list or an object has none here, and its handler decides.

// fallback is the default of a schema as a value of a JSON body, nil when there is none.
func (n *node) fallback() any {
	switch value := n.schema.Default.(type) {
	case bool, string:
		return value
	case int:
		return json.Number(strconv.Itoa(value))
	case float64:
		return conformNumber(n, json.Number(strconv.FormatFloat(value, 'f', -1, 64)))
	default:
		return nil
	}
}

// fallbackText is the default of a parameter as its text, nil when there is none.
func (n *node) fallbackText() []string {
	switch value := n.fallback().(type) {
	case nil:
		return nil
	case json.Number:
		return []string{string(value)}
	default:
		return []string{canonical(n, value)}
	}
}
