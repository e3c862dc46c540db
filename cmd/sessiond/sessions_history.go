package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/sanitize"
	"github.com/sessiond/sessiond/store"
)

// eventFlags are the flags that history and audit have in common.
type eventFlags struct {
	actions      []string
	since, until string
	limit        int
}

func (f *eventFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.actions, "action", nil, "only events with this `ACTION`, such as session.revoked; may be repeated")
	flags.StringVar(&f.since, "since", "", "only events since this `TIME`: 2026-01-15T12:00:00Z, or 24h for 24 hours ago")
	flags.StringVar(&f.until, "until", "", "only events before this `TIME`, in the form of --since")
	flags.IntVar(&f.limit, "limit", 200, "maximum number of events; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(store.Actions(), cobra.ShellCompDirectiveNoFileComp))
}

// parse checks the flags and returns them as the API's parameters.
func (f *eventFlags) parse() (actions *[]gen.EventAction, since, until *time.Time, err error) {
	if f.limit < 0 {
		return nil, nil, nil, usageError{errors.New("--limit must not be negative; 0 is for all")}
	}
	for _, action := range f.actions {
		if !slices.Contains(store.Actions(), action) {
			return nil, nil, nil, usageError{fmt.Errorf("--action %q is not an action: use one of %s", action, strings.Join(store.Actions(), ", "))}
		}
		if actions == nil {
			actions = &[]gen.EventAction{}
		}
		*actions = append(*actions, gen.EventAction(action))
	}
	for text, into := range map[*string]**time.Time{&f.since: &since, &f.until: &until} {
		at, err := parseTime(*text, time.Now())
		if err != nil {
			return nil, nil, nil, usageError{err}
		}
		if !at.IsZero() {
			*into = &at
		}
	}
	return actions, since, until, nil
}

func historyCommand(o *operation) *cobra.Command {
	var f eventFlags
	cmd := &cobra.Command{
		Use:               "history SESSION",
		Short:             "Show what happened to a session, the oldest first",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkID(args[0]); err != nil {
				return err
			}
			actions, since, until, err := f.parse()
			if err != nil {
				return err
			}
			api, err := o.client(cmd)
			if err != nil {
				return err
			}
			return o.events(cmd, f.limit, func(limit int, cursor *string) (*http.Response, error) {
				return api.GetSessionHistory(cmd.Context(), args[0], &gen.GetSessionHistoryParams{
					Action: actions, After: since, Before: until, Limit: &limit, Cursor: cursor,
				})
			})
		},
	}
	f.flags(cmd)
	return cmd
}

func eventsCommand(o *operation) *cobra.Command {
	var f eventFlags
	var session, actor, request string
	oldest := false
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show events of the audit log through the API, the newest first",
		Long: "Shows events of the audit log through the API, the newest first. What is looked for, and not found by tenant, user in a tenant or\n" +
			"session in a tenant, is looked for among all events, which can take a while.",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			actions, since, until, err := f.parse()
			if err != nil {
				return err
			}
			api, err := o.client(cmd)
			if err != nil {
				return err
			}
			params := gen.ListAuditEventsParams{
				TenantId: optional(o.tenant), UserId: optional(o.user), SessionId: optional(session), Actor: optional(actor), RequestId: optional(request),
				Action: actions, After: since, Before: until,
			}
			if oldest {
				params.Order = new(gen.ListAuditEventsParamsOrderOldest)
			}
			return o.events(cmd, f.limit, func(limit int, cursor *string) (*http.Response, error) {
				params.Limit, params.Cursor = &limit, cursor
				return api.ListAuditEvents(cmd.Context(), &params)
			})
		},
	}
	f.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.user, "user", "", "only events about this user")
	flags.StringVar(&session, "session", "", "only events about this session")
	flags.StringVar(&actor, "actor", "", "only events by this subject")
	flags.StringVar(&request, "request", "", "only events of the request with this id")
	flags.BoolVar(&oldest, "oldest-first", false, "the oldest event first")
	return cmd
}

// mostEvents is the largest page that the API gives.
const mostEvents = 200

// events prints pages of events until there are no more, or as many as the limit. As JSON each page is printed when it comes.
func (o *operation) events(cmd *cobra.Command, limit int, ask func(limit int, cursor *string) (*http.Response, error)) error {
	var all []gen.AuditEvent
	var cursor *string
	for {
		size := mostEvents
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		answer, err := body(ask(size, cursor))
		if err != nil {
			return err
		}
		found, err := decode[gen.AuditEventList](answer)
		if err != nil {
			return err
		}
		if o.asJSON {
			if err := printJSON(cmd.OutOrStdout(), answer); err != nil {
				return err
			}
		}
		all, cursor = append(all, found.Data...), found.Pagination.NextCursor
		if cursor == nil || limit > 0 && len(all) >= limit {
			break
		}
	}
	if o.asJSON {
		return nil
	}
	if err := printHistory(cmd.OutOrStdout(), all); err != nil {
		return err
	}
	if cursor != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "these are %d events, and there are more; --limit 0 shows all\n", len(all))
	}
	return nil
}

// printHistory writes a table of events.
func printHistory(out io.Writer, events []gen.AuditEvent) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tACTION\tTENANT\tUSER\tSESSION\tBY\tCLIENT\tREASON\tCHANGES")
	for _, e := range events {
		by, client := "-", "-"
		if e.Actor != nil {
			by, client = sanitize.Text(e.Actor.Sub), text(e.Actor.ClientId)
		}
		row := []string{
			instant(&e.At.Time), string(e.Action), text(e.TenantId), text(e.UserId), text(e.SessionId), by, client, text(e.Reason), changesText(e.Changes),
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// changesText is what changed, in a line.
func changesText(changes gen.EventChanges) string {
	var parts []string
	for _, c := range []struct {
		name   string
		change *gen.EventChange
	}{{"address", changes.IpAddress}, {"country", changes.Country}, {"agent", changes.UserAgent}, {"end", changes.ExpiresAt}} {
		switch {
		case c.change == nil:
		case c.change.From == nil:
			parts = append(parts, c.name+" "+text(c.change.To))
		default:
			parts = append(parts, fmt.Sprintf("%s %s → %s", c.name, text(c.change.From), text(c.change.To)))
		}
	}
	return strings.Join(parts, ", ")
}
