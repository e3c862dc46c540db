// Package openapi transforms an OpenAPI document in YAML and keeps the order of its members.
//
// The libraries that read the document decode it into Go maps, which have no order. The order is part of the contract:
// answers list their members as the schemas list their properties.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// JSON converts a document to compact JSON whose members are in the order of the YAML.
func JSON(document []byte) ([]byte, error) {
	root, err := parse(document)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := writeJSON(&out, root); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// WithOrder returns a copy of a document in which every property of every schema has the extension x-order with its
// position. oapi-codegen sorts the fields of a struct by it, and alphabetically where it is missing.
func WithOrder(document []byte) ([]byte, error) {
	root, err := parse(document)
	if err != nil {
		return nil, err
	}
	number(root)
	return yaml.Marshal(root)
}

func parse(document []byte) (*yaml.Node, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("parse the OpenAPI document: %w", err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, fmt.Errorf("parse the OpenAPI document: it is empty")
	}
	return root.Content[0], nil
}

func writeJSON(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode:
		return writeObject(out, node)
	case yaml.SequenceNode:
		return writeArray(out, node)
	case yaml.ScalarNode:
		return writeScalar(out, node)
	default:
		return fmt.Errorf("line %d: an alias has no counterpart in JSON", node.Line)
	}
}

func writeObject(out *bytes.Buffer, node *yaml.Node) error {
	out.WriteByte('{')
	for i := 0; i < len(node.Content); i += 2 {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeText(out, node.Content[i].Value); err != nil {
			return err
		}
		out.WriteByte(':')
		if err := writeJSON(out, node.Content[i+1]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeArray(out *bytes.Buffer, node *yaml.Node) error {
	out.WriteByte('[')
	for i, element := range node.Content {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeJSON(out, element); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

// writeScalar writes null, a boolean or a number as such and everything else as a string: JSON has no dates.
func writeScalar(out *bytes.Buffer, node *yaml.Node) error {
	switch node.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		var value any
		if err := node.Decode(&value); err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		out.Write(text)
		return nil
	default:
		return writeText(out, node.Value)
	}
}

func writeText(out *bytes.Buffer, text string) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // the line end that the encoder adds
	return nil
}

// number adds x-order to the properties of every schema below a node.
func number(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		for _, element := range node.Content {
			number(element)
		}
		return
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		switch {
		case key == "example" || key == "examples" || key == "default" || key == "enum" || key == "const":
			// Values, not schemas, whatever their members are called.
		case key == "properties" && value.Kind == yaml.MappingNode:
			numberProperties(value)
		default:
			number(value)
		}
	}
}

func numberProperties(properties *yaml.Node) {
	for i := 1; i < len(properties.Content); i += 2 {
		schema := properties.Content[i]
		number(schema)
		schema.Content = append(schema.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: "x-order"},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(i / 2)})
	}
}
