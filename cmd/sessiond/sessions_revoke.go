package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/gen"
)

// revocation is a command that ends sessions.
type revocation struct {
	*operation
	yes    bool
	dryRun bool
}

func (r *revocation) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&r.yes, "yes", false, "do not ask for confirmation")
	flags.BoolVar(&r.dryRun, "dry-run", false, "show the sessions that would be revoked, and revoke none")
	flags.StringVar(&r.reason, "reason", "", "reason, for the audit log")
}

func revokeCommand(o *operation) *cobra.Command {
	r := &revocation{operation: o}
	cmd := &cobra.Command{
		Use:               "revoke SESSION...",
		Short:             "Revoke sessions by id; - reads ids from standard input, one per line",
		Args:              arguments(cobra.MinimumNArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := idsOf(cmd, args)
			if err != nil {
				return err
			}
			api, err := o.open(cmd)
			if err != nil {
				return err
			}
			return r.revoke(cmd, api, ids)
		},
	}
	r.flags(cmd.Flags())
	return cmd
}

// idsOf reads the ids, each once, in their order.
func idsOf(cmd *cobra.Command, args []string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	add := func(id string) error {
		if seen[id] {
			return nil
		}
		seen[id], ids = true, append(ids, id)
		return checkID(id)
	}
	for _, arg := range args {
		if arg != "-" {
			if err := add(arg); err != nil {
				return nil, err
			}
			continue
		}
		lines := bufio.NewScanner(cmd.InOrStdin())
		for lines.Scan() {
			// A blank at either end belongs to the id: without it, it would be another session's.
			if id := lines.Text(); id != "" {
				if err := add(id); err != nil {
					return nil, err
				}
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	if len(ids) == 0 {
		return nil, usageError{errors.New("there are no ids on standard input")}
	}
	return ids, nil
}

// revoke ends sessions one by one. One that is not there does not keep the others from ending.
func (r *revocation) revoke(cmd *cobra.Command, api apiGroup, ids []string) error {
	if r.dryRun {
		return r.preview(cmd, api, ids)
	}
	if len(ids) > 1 && !r.yes {
		question := fmt.Sprintf("End %d sessions on %s?", len(ids), r.server)
		if err := confirm(cmd.Context(), cmd, question); err != nil {
			return err
		}
	}
	ended, missing, err := each(cmd, ids, func(id string) error { return api.revoke(cmd.Context(), id) })
	if err != nil && len(ended) == 0 {
		return err
	}
	if printed := r.report(cmd, ended); printed != nil {
		return errors.Join(err, printed)
	}
	if err != nil {
		return fmt.Errorf("%d of %d sessions have ended, then: %w", len(ended), len(ids), err)
	}
	return notFound(missing, len(ids))
}

// each calls do for every id until one fails for another reason than that there is no such session.
func each(cmd *cobra.Command, ids []string, do func(id string) error) (done, missing []string, err error) {
	progress := newProgress(cmd, len(ids), "sessions")
	defer func() { _ = progress.Clear() }() // only the look of the terminal, as below
	for _, id := range ids {
		switch err := do(id); {
		case err == nil:
			done = append(done, id)
		case statusOf(err) == http.StatusNotFound:
			missing = append(missing, id)
		default:
			return done, missing, err
		}
		_ = progress.Add(1)
	}
	return done, missing, nil
}

// report says which sessions have ended, in the form in which the API tells of a revocation.
func (r *revocation) report(cmd *cobra.Command, ended []string) error {
	if !r.asJSON {
		return printCount(cmd.OutOrStdout(), len(ended))
	}
	answer, err := json.Marshal(map[string]any{"data": map[string]any{
		"revoked_count": len(ended), "session_ids": append([]string{}, ended...),
	}})
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), answer)
}

// preview shows the sessions of the ids. The API shows ended ones too, which a revocation would pass over.
func (r *revocation) preview(cmd *cobra.Command, api apiGroup, ids []string) error {
	var sessions []gen.SessionListItem
	_, missing, err := each(cmd, ids, func(id string) error {
		answer, err := api.get(cmd.Context(), id)
		if err != nil {
			return err
		}
		if r.asJSON {
			return printJSON(cmd.OutOrStdout(), answer)
		}
		found, err := decode[gen.ApiResponseSessionResponse](answer)
		sessions = append(sessions, listItem(found.Data))
		return err
	})
	if err == nil && !r.asJSON {
		err = printSessions(cmd.OutOrStdout(), sessions)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "dry run: nothing has ended; these sessions would, if they have not yet\n")
	return notFound(missing, len(ids))
}

// listItem is a session as a list has it.
func listItem(s gen.SessionResponse) gen.SessionListItem {
	return gen.SessionListItem{
		Id: s.Id, UserId: s.UserId, UserEmail: s.UserEmail, DeviceType: s.DeviceType, IpAddress: s.IpAddress,
		UserAgent: s.UserAgent, IsCurrent: s.IsCurrent, CreatedAt: s.CreatedAt, LastActivityAt: s.LastActivityAt,
		ExpiresAt: s.ExpiresAt, AppCount: len(s.SsoApps),
	}
}
