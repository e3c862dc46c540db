// Command xorder copies an OpenAPI document from standard input to standard output and adds x-order to every property:
// what oapi-codegen needs to keep the order of the properties. `make generate` runs it.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/sessiond/sessiond/internal/openapi"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "xorder:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	document, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	ordered, err := openapi.WithOrder(document)
	if err != nil {
		return err
	}
	_, err = out.Write(ordered)
	return err
}
