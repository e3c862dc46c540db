package main

import (
	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/reference"
)

func referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "reference",
		Short:             "Print the reference of the API as Markdown",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return reference.Write(cmd.OutOrStdout(), sessiond.OpenAPI)
		},
	}
}
