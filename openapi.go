// Package sessiond holds the contract of the session management service.
//
// The server, its request checks and its documentation all read the same text, embedded here unchanged. The generated
// package embeds a copy whose members have lost their order, which is that of the entries of a 422.
package sessiond

import _ "embed"

// OpenAPI is the contract, openapi.yaml, byte for byte (OpenAPI 3.1).
//
//go:embed openapi.yaml
var OpenAPI []byte

// OpenAPIForSDKs is the contract as generators of clients understand it best: openapi.yaml with openapi.sdk.overlay.yaml applied.
//
//go:embed gen/openapi.sdk.yaml
var OpenAPIForSDKs []byte
