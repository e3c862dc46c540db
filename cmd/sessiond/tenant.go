package main

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/validation"
	"github.com/sessiond/sessiond/store"
)

func tenantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Change a tenant",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("tenant needs set-partner; see sessiond tenant --help")}
		},
	}
	cmd.AddCommand(setPartnerCommand())
	return cmd
}

// checkPartner refuses what the contract does not take for a partner's id in a registration.
func checkPartner(partnerID string) error {
	contract, err := openapi3.NewLoader().LoadFromData(sessiond.OpenAPI)
	if err != nil {
		return fmt.Errorf("load the contract: %w", err)
	}
	longest := 0
	for _, option := range contract.Components.Schemas["SessionRegistration"].Value.Properties["partner_id"].Value.AnyOf {
		if option.Value.MaxLength != nil {
			longest = int(*option.Value.MaxLength) //nolint:gosec // the contract is ours
		}
	}
	if validation.PathProblem(partnerID) != "" || utf8.RuneCountInString(partnerID) > longest {
		return usageError{fmt.Errorf("--partner %q is not a partner's id: use up to %d characters without control characters, and not . or .. alone", partnerID, longest)}
	}
	return nil
}

func setPartnerCommand() *cobra.Command {
	var db database
	var tenantID, partnerID string
	none := false
	cmd := &cobra.Command{
		Use:   "set-partner",
		Short: "Move a tenant and its sessions to another partner, or to none",
		Long: "Moves a tenant and all of its sessions to a partner (--partner) or to none (--none), and records it in the audit log.\n" +
			"From then on the tenant is in the scope of the new partner's tokens, and no longer of the old one's.\n" +
			"Sign-ins and revocations of the tenant wait meanwhile: some seconds for 100,000 sessions.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case tenantID == "":
				return usageError{errors.New("set-partner needs --tenant")}
			case (partnerID == "") != none:
				return usageError{errors.New("set-partner needs either --partner or --none")}
			}
			if err := checkPartner(partnerID); err != nil {
				return err
			}
			return withSchema(cmd, &db, store.Options{}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				before, err := s.TenantPartner(ctx, tenantID)
				if err == nil {
					err = s.SetTenantPartner(ctx, tenantID, partnerID, operator())
				}
				switch {
				case errors.Is(err, store.ErrNotFound):
					return fmt.Errorf("nobody has registered a session for the tenant %q: check the name", tenantID)
				case err != nil:
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "tenant %q: partner was %s, is %s\n", tenantID, orNone(before), orNone(partnerID))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&tenantID, "tenant", "", "tenant to move (required)")
	cmd.Flags().StringVar(&partnerID, "partner", "", "new partner of the tenant")
	cmd.Flags().BoolVar(&none, "none", false, "remove the tenant from its partner")
	db.flags(cmd.Flags())
	return cmd
}

// orNone is a partner, or the word for none.
func orNone(partnerID string) string {
	if partnerID == "" {
		return "none"
	}
	return fmt.Sprintf("%q", partnerID)
}
