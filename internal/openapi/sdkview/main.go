// Command sdkview applies an OpenAPI Overlay to the document on standard input, and writes the result to standard output, with its members in
// the same order. `make generate` runs it. An action that finds nothing is an error.
//
// Argument: the overlay.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/speakeasy-api/openapi/overlay"
	"gopkg.in/yaml.v3"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sdkview:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("name the overlay")
	}
	actions, err := overlay.Parse(args[0])
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.NewDecoder(in).Decode(&document); err != nil {
		return fmt.Errorf("parse the document: %w", err)
	}
	if warnings, err := actions.ApplyToStrict(&document); err != nil || len(warnings) > 0 {
		return fmt.Errorf("%w: %v", err, warnings)
	}
	if _, err := fmt.Fprintln(out, "# Code generated from openapi.yaml and openapi.sdk.overlay.yaml by `make generate`. DO NOT EDIT."); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	return encoder.Encode(&document)
}
