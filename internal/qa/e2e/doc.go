// Package e2e holds the end-to-end test: people sign in at two real identity providers, oidc-provider on Node.js and
// zitadel/oidc in Go, which keep a real sessiond informed. Everything runs on loopback addresses and is started and ended
// by the test. docs/providers.md is the recipe that it proves.
package e2e
