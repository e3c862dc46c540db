package validation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// kind is what a schema says that a value is.
type kind int

const (
	anyKind kind = iota // no type: every value fits
	stringKind
	integerKind
	numberKind
	booleanKind
	arrayKind
	objectKind
	unionKind // several types, anyOf, oneOf, allOf, not: reported as one violation, see collector.go
)

// node is a schema and what the checks and the violations need of it besides: kin-openapi keeps neither the order of the
// properties nor whether a schema is a component.
type node struct {
	schema *openapi3.Schema
	kind   kind
	// named says that the schema is a component: to the reference a class, not a type written in place.
	named  bool
	fields []field
	items  *node
	// extra is the schema of the members that are no fields, closed says that there may be none.
	extra  *node
	closed bool
}

type field struct {
	name         string
	required     bool
	node         *node
	defaultValue any // the default, nil when there is none
}

// compiler turns the schemas of a document into nodes, each once: schemas may contain themselves.
type compiler struct {
	rewritten map[*openapi3.Schema]*openapi3.SchemaRef
	nodes     map[nodeKey]*node
}

type nodeKey struct {
	schema *openapi3.Schema
	named  bool
}

func newCompiler() *compiler {
	return &compiler{rewritten: map[*openapi3.Schema]*openapi3.SchemaRef{}, nodes: map[nodeKey]*node{}}
}

func (c *compiler) compile(ref *openapi3.SchemaRef) (*node, error) {
	if err := c.downgrade(ref); err != nil {
		return nil, err
	}
	return c.node(ref), nil
}

func (c *compiler) node(ref *openapi3.SchemaRef) *node {
	if ref == nil {
		return nil
	}
	key := nodeKey{schema: ref.Value, named: ref.Ref != ""}
	if known := c.nodes[key]; known != nil {
		return known
	}
	s := ref.Value
	n := &node{schema: s, kind: kindOf(s), named: key.named}
	c.nodes[key] = n
	n.fields = c.fields(s)
	n.items = c.node(s.Items)
	n.extra = c.node(s.AdditionalProperties.Schema)
	n.closed = s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
	return n
}

// fields are the properties as the document orders them, then names that are required without being described.
func (c *compiler) fields(s *openapi3.Schema) []field {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return byPlace(s.Properties[a], s.Properties[b]) })
	for _, name := range s.Required {
		if s.Properties[name] == nil {
			names = append(names, name)
		}
	}
	fields := make([]field, len(names))
	for i, name := range names {
		property := s.Properties[name]
		if property == nil {
			property = openapi3.NewSchemaRef("", openapi3.NewSchema())
		}
		n := c.node(property)
		fields[i] = field{name: name, required: slices.Contains(s.Required, name), node: n, defaultValue: n.defaultValue()}
	}
	return fields
}

func byPlace(a, b *openapi3.SchemaRef) int {
	lineA, columnA := place(a)
	lineB, columnB := place(b)
	return cmp.Or(cmp.Compare(lineA, lineB), cmp.Compare(columnA, columnB))
}

// place is where a property begins in the document. A reference has its own place, not that of what it refers to.
func place(ref *openapi3.SchemaRef) (line, column int) {
	origin := ref.Origin
	if origin == nil {
		origin = ref.Value.Origin
	}
	if origin == nil || origin.Key == nil {
		return 0, 0
	}
	return origin.Key.Line, origin.Key.Column
}

func kindOf(s *openapi3.Schema) kind {
	if len(s.AnyOf)+len(s.OneOf)+len(s.AllOf) > 0 || s.Not != nil {
		return unionKind
	}
	switch types := s.Type.Slice(); {
	case len(types) == 0:
		return anyKind
	case len(types) > 1:
		return unionKind
	default:
		return kindOfType(types[0])
	}
}

func kindOfType(name string) kind {
	switch name {
	case openapi3.TypeString:
		return stringKind
	case openapi3.TypeInteger:
		return integerKind
	case openapi3.TypeNumber:
		return numberKind
	case openapi3.TypeBoolean:
		return booleanKind
	case openapi3.TypeArray:
		return arrayKind
	case openapi3.TypeObject:
		return objectKind
	default:
		return unionKind
	}
}

// member is the schema of an object's member: that of the field, or of all that are no fields; nil if there is none.
func (n *node) member(name string) *node {
	for i := range n.fields {
		if n.fields[i].name == name {
			return n.fields[i].node
		}
	}
	return n.extra
}

// ordered reports whether the order of an object's members can show in a violation: it does where a member is no field.
func (n *node) ordered(seen map[*node]bool) bool {
	if n == nil || seen[n] {
		return false
	}
	seen[n] = true
	if n.closed || n.extra != nil || n.items.ordered(seen) {
		return true
	}
	return slices.ContainsFunc(n.fields, func(f field) bool { return f.node.ordered(seen) })
}

// downgrade rewrites a schema, in memory, into the dialect of OpenAPI 3.0, which kin-openapi checks itself. For 3.1 it
// would compile a JSON Schema on every call, some twenty times as slow, and report a nullable value as two errors.
func (c *compiler) downgrade(ref *openapi3.SchemaRef) error {
	if ref == nil {
		return nil
	}
	if ref.Value == nil {
		return fmt.Errorf("unresolved reference %q", ref.Ref)
	}
	original := ref.Value
	if known, ok := c.rewritten[original]; ok {
		c.replace(ref, known)
		return nil
	}
	c.rewritten[original] = openapi3.NewSchemaRef("", original)
	if branch, nullable := onlyBranch(original); branch != nil {
		if err := c.downgrade(branch); err != nil {
			return err
		}
		flat := *branch.Value
		flat.Nullable = flat.Nullable || nullable
		c.rewritten[original] = openapi3.NewSchemaRef(branch.Ref, &flat)
		c.replace(ref, c.rewritten[original])
		return nil
	}
	if err := supported(original); err != nil {
		return err
	}
	rewrite(original)
	for _, child := range children(original) {
		if err := c.downgrade(child); err != nil {
			return err
		}
	}
	return nil
}

// replace puts the rewritten schema in the place of the original. A component stays one, under its own name.
func (c *compiler) replace(ref, with *openapi3.SchemaRef) {
	ref.Value = with.Value
	if ref.Ref == "" {
		ref.Ref = with.Ref
	}
}

// joined puts one branch in the place of the two of an address, which is ipv4 or ipv6: the reference reports it as one type.
func joined(branches openapi3.SchemaRefs) openapi3.SchemaRefs {
	is := func(format string) func(*openapi3.SchemaRef) bool {
		return func(branch *openapi3.SchemaRef) bool {
			if branch.Value == nil || branch.Value.Format != format || !branch.Value.Type.Is(openapi3.TypeString) {
				return false
			}
			rest := *branch.Value
			rest.Type, rest.Format = nil, ""
			return rest.IsEmpty()
		}
	}
	v4, v6 := slices.IndexFunc(branches, is("ipv4")), slices.IndexFunc(branches, is("ipv6"))
	if v4 < 0 || v6 < 0 {
		return branches
	}
	either := slices.Clone(branches)
	either[v4] = openapi3.NewSchemaRef("", openapi3.NewStringSchema().WithFormat(anyAddress))
	return slices.Delete(either, v6, v6+1)
}

// onlyBranch finds X in anyOf or oneOf [X, null], and where X is alone, if the schema says nothing besides. The two formats of an address are
// one X.
func onlyBranch(s *openapi3.Schema) (branch *openapi3.SchemaRef, nullable bool) {
	rest := *s
	rest.AnyOf, rest.OneOf, rest.AllOf = nil, nil, nil
	branches := slices.Concat(s.AnyOf, s.OneOf, s.AllOf)
	if !rest.IsEmpty() || len(branches) != max(len(s.AnyOf), len(s.OneOf), len(s.AllOf)) {
		return nil, false
	}
	if branches = joined(branches); len(branches) == 1 {
		return branches[0], false
	}
	null := slices.IndexFunc(branches, func(b *openapi3.SchemaRef) bool {
		return b.Value != nil && b.Value.Type.Is(openapi3.TypeNull)
	})
	if len(branches) != 2 || len(s.AllOf) > 0 || null < 0 {
		return nil, false
	}
	return branches[1-null], true
}

// rewrite expresses in OpenAPI 3.0 what 3.1 writes differently: a constant is an enumeration of one, a type "null" beside
// another is nullable.
func rewrite(s *openapi3.Schema) {
	if s.Const != nil {
		s.Enum, s.Const = []any{s.Const}, nil
	}
	types := s.Type.Slice()
	if len(types)+len(s.Enum)+len(s.AnyOf)+len(s.OneOf)+len(s.AllOf) == 0 && s.Not == nil {
		s.Nullable = true // a schema that names no type accepts null as well
		return
	}
	if len(types) < 2 || !slices.Contains(types, openapi3.TypeNull) {
		return
	}
	rest := openapi3.Types(slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == openapi3.TypeNull }))
	s.Type, s.Nullable = &rest, true
}

// supported refuses keywords that the 3.0 dialect would ignore silently: a constraint that nobody checks is worse than none.
func supported(s *openapi3.Schema) error {
	for keyword, used := range map[string]bool{
		"prefixItems":           len(s.PrefixItems) > 0,
		"contains":              s.Contains != nil || s.MinContains != nil || s.MaxContains != nil,
		"patternProperties":     len(s.PatternProperties) > 0,
		"propertyNames":         s.PropertyNames != nil,
		"dependentSchemas":      len(s.DependentSchemas) > 0,
		"dependentRequired":     len(s.DependentRequired) > 0,
		"unevaluatedItems":      s.UnevaluatedItems.Has != nil || s.UnevaluatedItems.Schema != nil,
		"unevaluatedProperties": s.UnevaluatedProperties.Has != nil || s.UnevaluatedProperties.Schema != nil,
		"if":                    s.If != nil,
		"$dynamicRef":           s.DynamicRef != "",
	} {
		if used {
			return errors.New("the keyword " + keyword + " is not supported in a request")
		}
	}
	return nil
}

func children(s *openapi3.Schema) []*openapi3.SchemaRef {
	all := slices.Concat(s.AnyOf, s.OneOf, s.AllOf)
	all = append(all, s.Not, s.Items, s.AdditionalProperties.Schema)
	for _, property := range s.Properties {
		all = append(all, property)
	}
	return all
}
