package validation

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// MaxBody is the largest request body in bytes. A larger one is an error that wraps *http.MaxBytesError.
const MaxBody = 1 << 20

// Validator holds a plan for each operation of a document. It never changes and may be shared.
type Validator struct {
	operations map[route]*operation
}

// route is an operation as Echo knows it after routing: the path is the template with ":name" for "{name}".
type route struct{ method, path string }

// operation is the plan of one operation, in the order in which the reference reports violations.
type operation struct {
	path, query, header, cookie []parameter
	body                        *body
	check                       *checker
	// alwaysStrict: it handles every request strictly.
	alwaysStrict bool
}

// parameter is an input that comes as text: a parameter of the operation, or a field of a form.
type parameter struct {
	name     string
	in       string
	required bool
	node     *node
	// defaultText is the canonical text of the default, nil when there is none.
	defaultText []string
}

// body is the plan of a request body: either JSON with a schema or a form with fields.
type body struct {
	required bool
	json     *node
	ordered  bool
	form     []parameter
	// strict is json without other members than those that are described.
	strict *node
}

// checker asks kin-openapi whether a value is valid: once to know, and only if it is not, once more for all that is wrong.
type checker struct {
	decide, explain []openapi3.SchemaValidationOption
}

func newChecker() *checker {
	return &checker{
		decide:  append(formatOptions(), openapi3.FailFast()),
		explain: append(formatOptions(), openapi3.MultiErrors()),
	}
}

func (c *checker) check(n *node, value any) error {
	decided := n.schema.VisitJSON(value, c.decide...)
	if decided == nil {
		return nil
	}
	return cmp.Or(n.schema.VisitJSON(truncated(n, value), c.explain...), decided)
}

// Load reads an OpenAPI 3.1 document, and fails on one that is not valid. Examples are not looked at: that is for who writes the document,
// and takes a third of the time.
func Load(document []byte) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	loader.IncludeOrigin = true // The order of the properties is read from their lines.
	contract, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("validation: load the contract: %w", err)
	}
	if err := contract.Validate(loader.Context, openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("validation: the contract is not valid: %w", err)
	}
	return contract, nil
}

// New loads a document and compiles its plans.
func New(document []byte) (*Validator, error) {
	contract, err := Load(document)
	if err != nil {
		return nil, err
	}
	return Compile(contract)
}

// Compile compiles the plans for a document that Load has read. It fails on one that asks for a check that this package cannot do, rather
// than leave it out.
func Compile(contract *openapi3.T) (*Validator, error) {
	v := &Validator{operations: map[route]*operation{}}
	checks := newChecker()
	schemas := newCompiler()
	for path, item := range contract.Paths.Map() {
		for method, described := range item.Operations() {
			plan, err := schemas.operation(item, described)
			if err != nil {
				return nil, fmt.Errorf("validation: %s %s: %w", method, path, err)
			}
			plan.check = checks
			v.operations[route{method, echoPath(path)}] = plan
		}
	}
	return v, nil
}

// echoPath is a path template in Echo's spelling.
func echoPath(template string) string {
	segments := strings.Split(template, "/")
	for i, segment := range segments {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			segments[i] = ":" + strings.TrimSuffix(name, "}")
		}
	}
	return strings.Join(segments, "/")
}

func (c *compiler) operation(item *openapi3.PathItem, described *openapi3.Operation) (*operation, error) {
	plan := &operation{}
	plan.alwaysStrict, _ = described.Extensions[strictExtension].(bool)
	for _, ref := range declared(item, described) {
		p, err := c.parameter(ref.Value)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", ref.Value.Name, err)
		}
		switch p.in {
		case openapi3.ParameterInPath:
			plan.path = append(plan.path, p)
		case openapi3.ParameterInQuery:
			plan.query = append(plan.query, p)
		case openapi3.ParameterInHeader:
			plan.header = append(plan.header, p)
		case openapi3.ParameterInCookie:
			plan.cookie = append(plan.cookie, p)
		}
	}
	if described.RequestBody == nil {
		return plan, nil
	}
	var err error
	if plan.body, err = c.body(described.RequestBody.Value); err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	return plan, nil
}

// declared are the parameters of the path that the operation does not describe anew, then its own.
func declared(item *openapi3.PathItem, described *openapi3.Operation) openapi3.Parameters {
	var all openapi3.Parameters
	for _, shared := range item.Parameters {
		if described.Parameters.GetByInAndName(shared.Value.In, shared.Value.Name) == nil {
			all = append(all, shared)
		}
	}
	return append(all, described.Parameters...)
}

func (c *compiler) parameter(described *openapi3.Parameter) (parameter, error) {
	if described.Schema == nil {
		return parameter{}, errors.New("only parameters with a schema are supported")
	}
	n, err := c.compile(described.Schema)
	if err != nil {
		return parameter{}, err
	}
	p := parameter{name: described.Name, in: described.In, required: described.Required, node: n, defaultText: n.defaultText()}
	style, err := described.SerializationMethod()
	switch {
	case err != nil:
		return p, err
	case n.kind == objectKind:
		return p, errors.New("objects are not supported in text")
	case n.kind == arrayKind && (p.in != openapi3.ParameterInQuery || !style.Explode):
		return p, errors.New("lists are supported as repeated query parameters only")
	}
	return p, nil
}

func (c *compiler) body(described *openapi3.RequestBody) (*body, error) {
	if len(described.Content) != 1 {
		return nil, errors.New("exactly one media type is supported")
	}
	for name, media := range described.Content {
		if media.Schema == nil {
			return nil, errors.New("it has no schema")
		}
		n, err := c.compile(media.Schema)
		if err != nil {
			return nil, err
		}
		b := &body{required: described.Required}
		switch {
		case isJSON(name):
			b.json, b.ordered = n, n.ordered(map[*node]bool{})
			b.strict = c.node(closed(media.Schema, map[*openapi3.Schema]*openapi3.SchemaRef{}))
		case name == formType && n.kind == objectKind:
			b.form, err = formFields(n)
		default:
			err = errors.New("the media type " + name + " is not supported")
		}
		return b, err
	}
	return nil, nil //nolint:nilnil // Not reached: there is exactly one media type.
}

// formFields reads the fields of a form like parameters.
func formFields(n *node) ([]parameter, error) {
	fields := make([]parameter, len(n.fields))
	for i, f := range n.fields {
		if f.node.kind == objectKind {
			return nil, errors.New("field " + f.name + ": objects are not supported in text")
		}
		fields[i] = parameter{name: f.name, in: "body", required: f.required, node: f.node, defaultText: f.node.defaultText()}
	}
	return fields, nil
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// isJSON reports whether a Content-Type means JSON: application/json or application/...+json; none at all does too.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	parts := strings.Split(mediaType(contentType), "/")
	return len(parts) == 2 && parts[0] == "application" && (parts[1] == "json" || strings.HasSuffix(parts[1], "+json"))
}

// mediaType is a Content-Type without its parameters.
func mediaType(contentType string) string {
	if contentType == jsonType || contentType == formType {
		return contentType
	}
	name, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(name))
}
