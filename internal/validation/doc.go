// Package validation checks requests against the contract before the generated code sees them.
//
// The rule in one sentence: text (path, query, header, form) is read the way the reference stack reads it, JSON is held to
// the schema, and every rejection looks like the reference's. A request passes through small parts, one file each:
//
//   - query.go cuts a query or a form into names and texts, text.go turns a text into a value by its own schema;
//   - encoding.go turns the bytes of a body into text, json.go that text into a value, or finds its first syntax error;
//   - kin-openapi alone decides whether a value is valid; formats.go holds the string formats it asks about;
//   - failures.go puts kin-openapi's failures into the order of the declaration, entries.go words them;
//   - bind.go leaves the request in such a form that the generated binding has nothing left to refuse.
//
// All of it is driven by plans that New compiles once from the document (validator.go, schema.go), so that a new
// parameter, field or constraint in the contract needs no code here.
package validation
