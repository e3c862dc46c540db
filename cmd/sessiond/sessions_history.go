package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
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

// eventParams are the flags as the API's parameters, nil for those that are not given.
type eventParams struct {
	actions      *[]gen.EventAction
	since, until *time.Time
}

// parse checks the flags.
func (f *eventFlags) parse() (params eventParams, err error) {
	if err := checkEventFlags(f.limit, f.actions...); err != nil {
		return params, err
	}
	since, until, err := period(f.since, f.until)
	for at, into := range map[*time.Time]**time.Time{&since: &params.since, &until: &params.until} {
		if !at.IsZero() {
			*into = at
		}
	}
	if len(f.actions) > 0 {
		params.actions = &[]gen.EventAction{}
		for _, action := range f.actions {
			*params.actions = append(*params.actions, gen.EventAction(action))
		}
	}
	return params, err
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
			return o.events(cmd, f, func(api *gen.ClientWithResponses, p eventParams, limit int, cursor *string) (*http.Response, error) {
				return api.GetSessionHistory(cmd.Context(), args[0], &gen.GetSessionHistoryParams{
					Action: p.actions, After: p.since, Before: p.until, Limit: &limit, Cursor: cursor,
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
			order := gen.ListAuditEventsParamsOrderNewest
			if oldest {
				order = gen.ListAuditEventsParamsOrderOldest
			}
			return o.events(cmd, f, func(api *gen.ClientWithResponses, p eventParams, limit int, cursor *string) (*http.Response, error) {
				return api.ListAuditEvents(cmd.Context(), &gen.ListAuditEventsParams{
					TenantId: optional(o.tenant), UserId: optional(o.user), SessionId: optional(session), Actor: optional(actor), RequestId: optional(request),
					Action: p.actions, After: p.since, Before: p.until, Order: &order, Limit: &limit, Cursor: cursor,
				})
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

// events prints pages of events until there are no more, or as many as the limit. As JSON each page is printed when it comes; a table has to
// wait, for its columns to fit.
func (o *operation) events(
	cmd *cobra.Command, f eventFlags, ask func(api *gen.ClientWithResponses, p eventParams, limit int, cursor *string) (*http.Response, error),
) error {
	params, err := f.parse()
	if err != nil {
		return err
	}
	api, err := o.client(cmd)
	if err != nil {
		return err
	}
	var events []gen.AuditEvent
	var cursor *string
	for n := 0; ; {
		size := mostEvents
		if f.limit > 0 {
			size = min(size, f.limit-n)
		}
		answer, err := body(ask(api, params, size, cursor))
		if err != nil {
			return err
		}
		found, err := decode[gen.AuditEventList](answer)
		if err != nil {
			return err
		}
		if o.asJSON {
			err = printJSON(cmd.OutOrStdout(), answer)
		} else {
			events = append(events, found.Data...)
		}
		n, cursor = n+len(found.Data), found.Pagination.NextCursor
		if err != nil || cursor == nil || f.limit > 0 && n >= f.limit {
			return cmp.Or(err, o.printEvents(cmd, events, cursor != nil))
		}
	}
}

// printEvents prints the table, and says when there are more.
func (o *operation) printEvents(cmd *cobra.Command, events []gen.AuditEvent, more bool) error {
	if o.asJSON {
		return nil
	}
	if err := printHistory(cmd.OutOrStdout(), events); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(cmd.ErrOrStderr(), "these are %d events, and there are more; --limit 0 shows all\n", len(events))
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
