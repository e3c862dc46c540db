package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/store"
)

// searchFlags are what sessions are looked for by: the parameters of the API, with hyphens.
type searchFlags struct {
	partner, text, ip, country, device, browser, system, application string
	statuses                                                         []string
	createdAfter, createdBefore, usedAfter, usedBefore               string
	endedAfter, endedBefore                                          string
}

func (f *searchFlags) flags(flags *pflag.FlagSet, o *operation) {
	flags.StringVar(&o.user, "user", "", "only sessions of this user")
	flags.StringVar(&f.partner, "partner", "", "only sessions of this partner's tenants")
	flags.StringVarP(&f.text, "q", "q", "", "only sessions whose e-mail, display name, user id or session id begins with this `TEXT`, in any case")
	flags.StringSliceVar(&f.statuses, "status", nil, "only sessions with this `STATUS`: active, revoked, replaced, expired or idle; may be repeated")
	flags.StringVar(&f.ip, "ip", "", "only sessions that came from this `ADDRESS` or network, such as 203.0.113.0/24")
	flags.StringVar(&f.country, "country", "", "only sessions from this country, by its two-letter `CODE`")
	flags.StringVar(&f.device, "device-type", "", "only sessions on this `KIND` of device: desktop, mobile, tablet, bot or other")
	flags.StringVar(&f.browser, "browser", "", "only sessions of this `BROWSER`, such as Firefox")
	flags.StringVar(&f.system, "os", "", "only sessions on this operating `SYSTEM`, such as macOS")
	flags.StringVar(&f.application, "application-id", "", "only sessions in which this `APPLICATION` was reached")
	for _, t := range []struct {
		into *string
		name string
		what string
	}{
		{&f.createdAfter, "created-after", "registered since"},
		{&f.createdBefore, "created-before", "registered before"},
		{&f.usedAfter, "last-activity-after", "used last since"},
		{&f.usedBefore, "last-activity-before", "used last before"},
		{&f.endedAfter, "ended-after", "ended since"},
		{&f.endedBefore, "ended-before", "ended before"},
	} {
		flags.StringVar(t.into, t.name, "", "only sessions "+t.what+" this `TIME`: 2026-01-15T12:00:00Z, or 24h for 24 hours ago")
	}
}

// params are the flags as the API's parameters.
func (f *searchFlags) params(o *operation) (*gen.SearchSessionsParams, error) {
	if o.me {
		return nil, usageError{errors.New("--me is not needed: a user's token finds that user's sessions")}
	}
	p := &gen.SearchSessionsParams{
		TenantId: optional(o.tenant), PartnerId: optional(f.partner), UserId: optional(o.user), Q: optional(f.text), Ip: optional(f.ip),
		Country: optional(f.country), Browser: optional(f.browser), Os: optional(f.system), ApplicationId: optional(f.application),
	}
	if f.device != "" {
		p.DeviceType = new(gen.SearchSessionsParamsDeviceType(f.device))
	}
	if len(f.statuses) > 0 {
		p.Status = &[]gen.SessionStatus{}
		for _, status := range f.statuses {
			*p.Status = append(*p.Status, gen.SessionStatus(status))
		}
	}
	now := time.Now()
	for _, t := range []struct {
		text string
		into **time.Time
	}{
		{f.createdAfter, &p.CreatedAfter},
		{f.createdBefore, &p.CreatedBefore},
		{f.usedAfter, &p.LastActivityAfter},
		{f.usedBefore, &p.LastActivityBefore},
		{f.endedAfter, &p.EndedAfter},
		{f.endedBefore, &p.EndedBefore},
	} {
		at, err := parseTime(t.text, now)
		if err != nil {
			return nil, usageError{err}
		}
		if !at.IsZero() {
			*t.into = new(at.UTC())
		}
	}
	return p, nil
}

// sortFlags are the order of what is found.
type sortFlags struct {
	sort   string
	oldest bool
}

func (f *sortFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.sort, "sort", "created_at", "sort by this `TIME`: created_at, last_activity_at or ended_at")
	flags.BoolVar(&f.oldest, "oldest-first", false, "the oldest session first")
}

func (f *sortFlags) set(p *gen.SearchSessionsParams) {
	p.Sort = new(gen.SearchSessionsParamsSort(f.sort))
	p.Order = new(gen.SearchSessionsParamsOrderNewest)
	if f.oldest {
		p.Order = new(gen.SearchSessionsParamsOrderOldest)
	}
}

func findCommand(o *operation) *cobra.Command {
	var f searchFlags
	var by sortFlags
	limit := 0
	cmd := &cobra.Command{
		Use:               "find",
		Short:             "Find sessions, active and ended ones",
		Long:              "Finds sessions, active and ended ones, that the token may see. All conditions have to hold.",
		Example:           "  sessiond sessions find -q ada@ --status revoked\n  sessiond sessions find --ip 203.0.113.0/24 --created-after 48h",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			params, err := f.params(o)
			if err != nil {
				return err
			}
			if limit < 0 {
				return usageError{errors.New("--limit must not be negative")}
			}
			by.set(params)
			return o.find(cmd, params, limit)
		},
	}
	f.flags(cmd.Flags(), o)
	by.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 50, "maximum number of sessions; 0 for all")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(store.Statuses(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// find prints pages until there are no more, or as many sessions as the limit. As JSON each page is printed when it comes.
func (o *operation) find(cmd *cobra.Command, params *gen.SearchSessionsParams, limit int) error {
	api, err := o.client(cmd)
	if err != nil {
		return err
	}
	var records []gen.SessionRecord
	for n := 0; ; {
		params.Limit = new(store.MaxFound)
		if limit > 0 {
			params.Limit = new(min(store.MaxFound, limit-n))
		}
		answer, err := body(api.SearchSessions(cmd.Context(), params))
		if err != nil {
			return err
		}
		found, err := decode[gen.SessionRecordList](answer)
		if err != nil {
			return err
		}
		if o.asJSON {
			err = printJSON(cmd.OutOrStdout(), answer)
		} else {
			records = append(records, found.Data...)
		}
		n, params.Cursor = n+len(found.Data), found.Pagination.NextCursor
		if err != nil || params.Cursor == nil || limit > 0 && n >= limit {
			return cmp.Or(err, o.printFound(cmd, records, found.Pagination))
		}
	}
}

// printFound prints the table, and how many sessions there are in all.
func (o *operation) printFound(cmd *cobra.Command, records []gen.SessionRecord, of gen.SearchPagination) error {
	if o.asJSON {
		return nil
	}
	if len(records) == 0 && of.NextCursor == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "no sessions found")
		return nil
	}
	if err := printRecords(cmd.OutOrStdout(), records); err != nil {
		return err
	}
	if of.NextCursor != nil {
		total := fmt.Sprint(of.TotalItems)
		if !of.TotalIsExact {
			total = "at least " + total
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "these are %d of %s; --limit 0 shows all\n", len(records), total)
	}
	return nil
}

// printRecords writes a table of sessions.
func printRecords(out io.Writer, records []gen.SessionRecord) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION\tSTATUS\tTENANT\tUSER\tE-MAIL\tSIGNED IN\tSIGNED IN FROM\tLAST USED\tUSED FROM\tCOUNTRY\tON\tENDED\tBY\tREASON")
	for i := range records {
		r := &records[i]
		used, ended, by := "-", "-", "-"
		if r.LastActivityAt != nil {
			used = instant(&r.LastActivityAt.Time)
		}
		if r.EndedAt != nil {
			ended = instant(&r.EndedAt.Time)
		}
		if r.EndedBy != nil {
			by = text(&r.EndedBy.Sub)
		}
		fmt.Fprintln(table, strings.Join([]string{
			text(&r.Id), string(r.Status), text(&r.TenantId), text(&r.UserId), text(r.UserEmail), instant(&r.CreatedAt.Time), text(r.LoginIpAddress),
			used, text(r.IpAddress), text(r.Country), deviceOf(r), ended, by, text(r.EndReason),
		}, "\t"))
	}
	return table.Flush()
}

// deviceOf says on what a session is: "Firefox, macOS".
func deviceOf(r *gen.SessionRecord) string {
	var parts []string
	for _, part := range []*string{r.Browser, r.Os} {
		if part != nil {
			parts = append(parts, text(part))
		}
	}
	if len(parts) == 0 {
		return text(r.DeviceType)
	}
	return strings.Join(parts, ", ")
}
