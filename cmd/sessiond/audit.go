package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/sanitize"
	"github.com/sessiond/sessiond/store"
)

func auditCommand() *cobra.Command {
	var db database
	var filter store.AuditFilter
	var since, until string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Print events of the audit log",
		Long: "Prints events of the audit log by their time. The end of a session that expired has the time at which it expired, and is\n" +
			"recorded some seconds later.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if filter.Since, filter.Until, err = period(since, until); err != nil {
				return err
			}
			if err := checkEventFlags(filter.Limit, filter.Action); err != nil {
				return err
			}
			return withSchema(cmd, &db, store.Options{}, func(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
				events, err := s.ListAuditEvents(ctx, filter)
				if err != nil {
					return err
				}
				return printEvents(cmd, events, asJSON)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.TenantID, "tenant", "", "only events of this tenant")
	flags.StringVar(&filter.UserID, "user", "", "only events about this user")
	flags.StringVar(&filter.SessionID, "session", "", "only events about this session")
	flags.StringVar(&filter.Action, "action", "", "only events with this action, such as session.revoked")
	flags.StringVar(&since, "since", "", "only events since this `TIME`: 2026-01-15T12:00:00Z, or 24h for 24 hours ago")
	flags.StringVar(&until, "until", "", "only events before this `TIME`, in the form of --since")
	flags.IntVar(&filter.Limit, "limit", 1000, "maximum number of events, the newest ones; 0 for all")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object per line")
	db.flags(flags)
	return cmd
}

// checkEventFlags checks the flags --limit and --action, which is left out when it is empty.
func checkEventFlags(limit int, actions ...string) error {
	if limit < 0 {
		return usageError{errors.New("--limit must not be negative; 0 is for all")}
	}
	for _, action := range actions {
		if action != "" && !slices.Contains(store.Actions(), action) {
			return usageError{fmt.Errorf("--action %q is not an action: use one of %s", action, strings.Join(store.Actions(), ", "))}
		}
	}
	return nil
}

// period reads the flags --since and --until; a time is zero when its text is empty.
func period(since, until string) (from, to time.Time, err error) {
	now := time.Now()
	if from, err = parseTime(since, now); err == nil {
		to, err = parseTime(until, now)
	}
	if err == nil && !to.IsZero() && to.Before(from) {
		err = errors.New("--until is before --since")
	}
	if err != nil {
		err = usageError{err}
	}
	return from, to, err
}

// parseTime reads a time, or a duration before now; nothing is no time.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is not a time: use 2026-01-15T12:00:00Z, or 24h for a day ago", text)
	}
	return at, nil
}

func printEvents(cmd *cobra.Command, events []store.AuditEvent, asJSON bool) error {
	if asJSON {
		for _, event := range events {
			line, err := json.Marshal(event)
			if err != nil {
				return err
			}
			if err := printJSON(cmd.OutOrStdout(), line); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tACTION\tTENANT\tUSER\tSESSION\tBY\tCLIENT\tREASON")
	for _, e := range events {
		row := []string{e.At.Format(time.RFC3339), e.Action, e.TenantID, e.UserID, e.SessionID, e.ActorSub, e.ActorClient, e.Reason}
		for i, cell := range row {
			row[i] = sanitize.Text(cell)
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// operator is who runs the command, for the audit log.
func operator() store.Actor {
	by := store.Actor{Subject: "operator", ClientID: "sessiond-cli"}
	if account, err := user.Current(); err == nil {
		by.Subject = "operator:" + account.Username
	}
	return by
}
