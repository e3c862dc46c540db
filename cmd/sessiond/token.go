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
		Short: "Issue an access token for a server in development mode, or verify a token",
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
	flags.StringVar(&request.Subject, "sub", "", "sub claim: the user or client (required)")
	flags.StringVar(&request.TenantID, "tenant", "", "tenant_id claim")
	flags.StringVar(&request.PartnerID, "partner", "", "partner_id claim")
	flags.StringVar(&request.SessionID, "sid", "", "sid claim: the session of the token")
	flags.StringVar(&request.ClientID, "client", "", "client_id claim; the same as --sub for a token of a client itself")
	flags.StringVar(&request.Scope, "scope", "", `scope claim: scopes separated by spaces, such as "sessions:read sessions:write"`)
	flags.DurationVar(&request.TTL, "ttl", time.Hour, "lifetime of the token")
	dataDirFlag(flags, &dataDir)
	cmd.AddCommand(verifyCommand())
	return cmd
}
