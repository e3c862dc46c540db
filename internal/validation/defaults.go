package validation

import (
	"encoding/json"
	"strconv"
)

// A default of the document is filled in where a request omits the value, so that handlers need not repeat it. Only scalar defaults
// are supported; where the default of a schema is a list or an object, the handler decides.

// defaultValue is the default of a schema as a value of a JSON body, nil when there is none.
func (n *node) defaultValue() any {
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

// defaultText is the default of a parameter as its text, nil when there is none.
func (n *node) defaultText() []string {
	switch value := n.defaultValue().(type) {
	case nil:
		return nil
	case json.Number:
		return []string{string(value)}
	default:
		return []string{canonical(n, value)}
	}
}
