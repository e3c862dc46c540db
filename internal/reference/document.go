// Package reference writes the contract as a page of Markdown: operations with their parameters, bodies and answers, then
// the schemas that they name.
package reference

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// document is what the page needs of an OpenAPI document, in the document's order.
type document struct {
	Info struct {
		Title string `yaml:"title"`
	} `yaml:"info"`
	Paths      ordered[ordered[operation]] `yaml:"paths"`
	Components struct {
		Schemas   ordered[schema]     `yaml:"schemas"`
		Responses map[string]response `yaml:"responses"`
		// Parameters are those that operations share.
		Parameters map[string]parameter `yaml:"parameters"`
	} `yaml:"components"`
}

// resolve puts the shared parameters in the place of the references to them.
func (d *document) resolve() {
	for _, path := range d.Paths {
		for _, one := range path.Value {
			for i, p := range one.Value.Parameters {
				if p.Ref != "" {
					one.Value.Parameters[i] = d.Components.Parameters[nameOf(p.Ref)]
				}
			}
		}
	}
}

type operation struct {
	Summary     string      `yaml:"summary"`
	Description string      `yaml:"description"`
	Parameters  []parameter `yaml:"parameters"`
	Body        *struct {
		Required bool           `yaml:"required"`
		Content  ordered[media] `yaml:"content"`
	} `yaml:"requestBody"`
	Responses ordered[response] `yaml:"responses"`
	// Security is nil where the document's own holds, and empty where no token is needed.
	Security *[]map[string][]string `yaml:"security"`
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Required    bool   `yaml:"required"`
	Description string `yaml:"description"`
	Schema      schema `yaml:"schema"`
}

type response struct {
	Ref         string         `yaml:"$ref"`
	Description string         `yaml:"description"`
	Content     ordered[media] `yaml:"content"`
}

type media struct {
	Schema schema `yaml:"schema"`
}

type schema struct {
	Ref         string          `yaml:"$ref"`
	Type        string          `yaml:"type"`
	Format      string          `yaml:"format"`
	Description string          `yaml:"description"`
	AnyOf       []schema        `yaml:"anyOf"`
	Items       *schema         `yaml:"items"`
	Properties  ordered[schema] `yaml:"properties"`
	Required    []string        `yaml:"required"`
	Default     yaml.Node       `yaml:"default"`
	Minimum     *int            `yaml:"minimum"`
	Maximum     *int            `yaml:"maximum"`
	MinLength   *int            `yaml:"minLength"`
	MaxLength   *int            `yaml:"maxLength"`
	MaxItems    *int            `yaml:"maxItems"`
	Pattern     string          `yaml:"pattern"`
}

// ordered is a mapping whose order counts.
type ordered[T any] []member[T]

type member[T any] struct {
	Key   string
	Value T
}

// UnmarshalYAML reads the members one after the other.
func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a mapping is expected", node.Line)
	}
	for i := 0; i < len(node.Content); i += 2 {
		one := member[T]{Key: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&one.Value); err != nil {
			return err
		}
		*o = append(*o, one)
	}
	return nil
}

// nameOf is the last step of a reference within the document.
func nameOf(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }
