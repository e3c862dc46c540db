package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/gen"
)

// exportFormats are the formats of an export, by what the flag says.
func exportFormats() map[string]string {
	return map[string]string{"csv": "text/csv", "ndjson": "application/x-ndjson"}
}

func exportCommand(o *operation) *cobra.Command {
	var f searchFlags
	var by sortFlags
	format, into := "csv", ""
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all sessions that a search finds, as CSV or a line of JSON each",
		Long: "Writes all sessions that a search finds, as they are at one moment. In CSV a cell that a spreadsheet would take for a formula\n" +
			"begins with an apostrophe.",
		Example:           "  sessiond sessions export --tenant acme --created-after 720h --output sessions.csv",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			accept, known := exportFormats()[format]
			if !known {
				return usageError{fmt.Errorf("--format is csv or ndjson, not %q", format)}
			}
			params, err := f.params(o)
			if err != nil {
				return err
			}
			by.set(params)
			return o.export(cmd, params, accept, into)
		},
	}
	f.flags(cmd.Flags(), o)
	by.flags(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", format, "csv or ndjson")
	cmd.Flags().StringVarP(&into, "output", "o", "", "write to this new `FILE`, instead of to the terminal")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"csv", "ndjson"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// export writes what the server sends, as long as it takes. A file of which only a part has come is removed.
func (o *operation) export(cmd *cobra.Command, params *gen.SearchSessionsParams, accept, into string) (err error) {
	api, err := o.longClient(cmd)
	if err != nil {
		return err
	}
	response, err := api.SearchSessions(cmd.Context(), params, func(_ context.Context, request *http.Request) error {
		request.Header.Set("Accept", accept)
		return nil
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	out := cmd.OutOrStdout()
	if into != "" {
		file, err := os.OpenFile(into, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user names it
		if err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, file.Close()); err != nil {
				err = errors.Join(err, os.Remove(into))
			}
		}()
		out = file
	}
	progress := newProgress(cmd, -1, "exporting")
	defer func() { _ = progress.Finish() }()
	if _, err := io.Copy(io.MultiWriter(out, progress), response.Body); err != nil {
		return fmt.Errorf("the export broke off: %w", err)
	}
	return nil
}
