// Package e2e holds the end-to-end test: people sign in at two real identity providers, oidc-provider on Node.js and
// zitadel/oidc in Go, which keep a real sessiond informed. Everything runs on loopback addresses and is started and ended
// by the test. docs/providers.md is the recipe that it proves.
//
// It is a module of its own, so that the identity provider's library and what that needs stay out of sessiond's go.mod.
// Run it with -count=1: Go caches the success of a test until a file of its own module changes, and the test builds sessiond.
package e2e
