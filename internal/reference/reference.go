package reference

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v4"
)

//go:embed page.md.tmpl
var page string

// Write writes the reference of an OpenAPI document, in YAML or JSON.
func Write(out io.Writer, openAPI []byte) error {
	var d document
	if err := yaml.Unmarshal(openAPI, &d); err != nil {
		return fmt.Errorf("the contract cannot be read: %w", err)
	}
	d.resolve()
	t, err := template.New("page").Funcs(template.FuncMap{
		"upper": strings.ToUpper, "cell": cell, "yes": yes, "type": typeOf, "facts": facts, "answers": d.answers,
		"has": slices.Contains[[]string],
	}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(out, d)
}

// Operations counts the operations.
func (d document) Operations() int {
	n := 0
	for _, path := range d.Paths {
		n += len(path.Value)
	}
	return n
}

// Open reports whether an operation needs no token.
func (o operation) Open() bool { return o.Security != nil && len(*o.Security) == 0 }

// answers is what an operation answers with a status: the types of its content, or what the contract says of it.
func (d document) answers(r response) (string, error) {
	if r.Ref != "" {
		named, found := d.Components.Responses[nameOf(r.Ref)]
		if !found {
			return "", fmt.Errorf("the contract has no response %s", r.Ref)
		}
		r = named
	}
	var types []string
	for _, content := range r.Content {
		types = append(types, fmt.Sprintf("`%s` → %s", content.Key, typeOf(content.Value.Schema)))
	}
	if types == nil {
		return cell(r.Description), nil
	}
	return strings.Join(types, "<br>"), nil
}

// typeOf is a schema in a word or two, with a link to one that has a name.
func typeOf(s schema) string {
	switch {
	case s.Ref != "":
		return fmt.Sprintf("[%s](#%s)", nameOf(s.Ref), strings.ToLower(nameOf(s.Ref)))
	case s.AnyOf != nil:
		var types []string
		for _, one := range s.AnyOf {
			types = append(types, typeOf(one))
		}
		return strings.Join(types, ` \| `) // a bar ends a cell
	case s.Items != nil:
		return "array of " + typeOf(*s.Items)
	case s.Type == "":
		return "any"
	case s.Format == "date-time":
		return s.Type + " (date-time)"
	default:
		return s.Type
	}
}

// facts is the description of a value, followed by its default and its bounds.
func facts(description string, s schema) (string, error) {
	var parts []string
	if s.Default.Kind != 0 {
		value, err := literal(s.Default)
		if err != nil {
			return "", err
		}
		parts = append(parts, "Default: "+value)
	}
	text, more := cell(description), strings.Join(append(parts, bounds(s)...), "; ")
	if text != "" && more != "" {
		return strings.TrimSuffix(text, ".") + ". " + more, nil
	}
	return text + more, nil
}

// bounds are what a schema asks of a value, also one that may be null instead.
func bounds(s schema) []string {
	var parts []string
	for _, bound := range []struct {
		name  string
		value *int
	}{
		{"Minimum", s.Minimum},
		{"Maximum", s.Maximum},
		{"Min length", s.MinLength},
		{"Max length", s.MaxLength},
		{"Max items", s.MaxItems},
	} {
		if bound.value != nil {
			parts = append(parts, fmt.Sprintf("%s: %d", bound.name, *bound.value))
		}
	}
	if s.Pattern != "" {
		parts = append(parts, "Pattern: `"+strings.ReplaceAll(s.Pattern, "|", `\|`)+"`")
	}
	for _, one := range s.AnyOf {
		parts = append(parts, bounds(one)...)
	}
	return parts
}

// literal writes a default as the reference does, which is Python's way: True, False, 20, [].
func literal(node yaml.Node) (string, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return "", err
	}
	switch value := value.(type) {
	case bool:
		return strings.ToUpper(node.Value[:1]) + node.Value[1:], nil
	case string:
		return "'" + cell(value) + "'", nil
	default:
		return fmt.Sprint(value), nil
	}
}

// cell is text for one cell of a table: on one line, and without a bar that would end it.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

func yes(required bool) string {
	if required {
		return "yes"
	}
	return "no"
}
