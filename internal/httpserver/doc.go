// Package httpserver is the HTTP server around an API: the steps of the middleware chain that know neither sessions nor tokens,
// the routes beside the contract, and the server with its timeouts and its certificate. What differs from one API to another is
// handed in; the handlers package puts the chain together.
//
//   - requestlog.go is the outermost step: request id (context.go), security headers, deadline, panics, metrics, span (trace.go),
//     log line. operations.go names a request's operation for the last three.
//   - cors.go answers preflights; ratelimit.go answers 429; routing.go answers 404, 405 and 307.
//   - clientaddress.go finds the address of a client behind proxies.
//   - systemroutes.go serves health checks, the contract and its explorer.
//   - server.go has the timeouts of a connection and the shutdown, certificate.go the key pair, read again when its files change.
package httpserver
