// Package validation checks requests against the contract before the generated code binds them.
//
// Text (path, query, header, form) is parsed as the reference implementation parses it, JSON is checked strictly against its
// schema, and every rejection has the reference's form. The steps of a request, one file each:
//
//   - query.go splits a query or a form into names and texts; text.go converts a text into a value of its schema's type;
//   - encoding.go decodes the bytes of a body into text; json.go parses the text, or finds its first syntax error;
//   - kin-openapi alone decides whether a value is valid; formats.go has the string formats that it checks;
//   - collector.go orders kin-openapi's errors as the contract declares the inputs; violations.go has the sentences;
//   - bind.go rewrites the request into a canonical form that the generated binding always accepts.
//
// The steps follow plans that New compiles once from the document (validator.go, schema.go): a new parameter, field or
// constraint in the contract needs no code here.
package validation
