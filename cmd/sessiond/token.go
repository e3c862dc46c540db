package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/auth"
)

func tokenCommand() *cobra.Command {
	var request auth.TokenRequest
	var dataDir string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Mint a token of the development issuer, for a server that runs with --dev",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case request.Subject == "":
				return usageError{errors.New("token needs --sub, the user or client that it speaks for")}
			case request.TTL <= 0:
				return usageError{errors.New("--ttl must be positive, as in 1h or 15m")}
			}
			issuer, err := auth.OpenDevIssuer(dataDir)
			if err != nil {
				return err
			}
			token, err := issuer.Mint(request, time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Subject, "sub", "", "user or client that the token speaks for (required)")
	flags.StringVar(&request.TenantID, "tenant", "", "tenant_id claim")
	flags.StringVar(&request.PartnerID, "partner", "", "partner_id claim")
	flags.StringVar(&request.SessionID, "sid", "", "sid claim: the session that the token belongs to")
	flags.StringVar(&request.ClientID, "client", "", "client_id claim; equal to --sub for a client's own token")
	flags.StringVar(&request.Scope, "scope", "", `scopes, separated by spaces, as in "sessions:read sessions:write"`)
	flags.DurationVar(&request.TTL, "ttl", time.Hour, "how long the token is valid")
	dataDirFlag(flags, &dataDir)
	cmd.AddCommand(verifyCommand())
	return cmd
}
