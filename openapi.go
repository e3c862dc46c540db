// Package sessiond holds the contract of the session management service.
//
// The server, its request checks and its documentation all read the same text, embedded here unchanged: the generated
// package has a copy too, but one whose members have lost their order, and the order decides how a 422 is told.
package sessiond

import _ "embed"

// OpenAPI is the contract, openapi.yaml, byte for byte (OpenAPI 3.1).
//
//go:embed openapi.yaml
var OpenAPI []byte
