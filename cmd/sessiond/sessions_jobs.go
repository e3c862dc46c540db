package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/sanitize"
)

// jobsCommand is revocation jobs on the command line.
func jobsCommand(o *operation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "End the sessions that a search finds, in the background",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("jobs needs create, list, show, follow, pause, resume or cancel; see sessiond sessions jobs --help")}
		},
	}
	cmd.AddCommand(createJobCommand(o), listJobsCommand(o), showJobCommand(o), followJobCommand(o))
	for verb, change := range map[string]struct {
		short string
		send  func(ctx context.Context, api *gen.ClientWithResponses, id string) (*http.Response, error)
	}{
		"pause": {"Stop a job until it is resumed", func(ctx context.Context, api *gen.ClientWithResponses, id string) (*http.Response, error) {
			return api.PauseRevocationJob(ctx, id)
		}},
		"resume": {"Go on with a job that is paused", func(ctx context.Context, api *gen.ClientWithResponses, id string) (*http.Response, error) {
			return api.ResumeRevocationJob(ctx, id)
		}},
		"cancel": {"End a job; what it has ended stays ended", func(ctx context.Context, api *gen.ClientWithResponses, id string) (*http.Response, error) {
			return api.CancelRevocationJob(ctx, id)
		}},
	} {
		cmd.AddCommand(jobCommand(o, verb, change.short, change.send))
	}
	return cmd
}

// jobCommand is a command about one job, which prints it.
func jobCommand(
	o *operation, verb, short string, send func(ctx context.Context, api *gen.ClientWithResponses, id string) (*http.Response, error),
) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " JOB",
		Short:             short,
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := o.client(cmd)
			if err != nil {
				return err
			}
			answer, err := body(send(cmd.Context(), api, args[0]))
			if err != nil {
				return err
			}
			return o.printJob(cmd, answer)
		},
	}
}

func showJobCommand(o *operation) *cobra.Command {
	return jobCommand(o, "show", "Show a job, and how far it has come", func(ctx context.Context, api *gen.ClientWithResponses, id string) (*http.Response, error) {
		return api.GetRevocationJob(ctx, id)
	})
}

func listJobsCommand(o *operation) *cobra.Command {
	var states []string
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the newest jobs",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			params := &gen.ListRevocationJobsParams{}
			for _, state := range states {
				if params.State == nil {
					params.State = &[]gen.RevocationJobState{}
				}
				*params.State = append(*params.State, gen.RevocationJobState(state))
			}
			api, err := o.client(cmd)
			if err != nil {
				return err
			}
			answer, err := body(api.ListRevocationJobs(cmd.Context(), params))
			if err != nil {
				return err
			}
			if o.asJSON {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			found, err := decode[gen.RevocationJobList](answer)
			if err != nil {
				return err
			}
			return printJobs(cmd.OutOrStdout(), found.Data)
		},
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only jobs in this `STATE`: running, paused, completed or cancelled; may be repeated")
	return cmd
}

// creation is one call of jobs create.
type creation struct {
	*operation
	searchFlags

	reason, cutoff                       string
	allTenants, own, dryRun, yes, detach bool
	tolerance                            int
}

func createJobCommand(o *operation) *cobra.Command {
	c := &creation{operation: o}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "End the active sessions that a search finds",
		Long: "Ends the active sessions that a search finds: tells first how many these are, asks, and then shows how far the job has come. Sessions\n" +
			"of sign-ins after the job was created do not end. The flags are those of \"sessiond sessions find\"; --tenant is needed, or --all-tenants.",
		Example:           "  sessiond sessions jobs create --tenant acme --ip 203.0.113.0/24 --created-after 72h --reason \"stolen laptops\"",
		Args:              arguments(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	c.searchFlags.flags(flags, o)
	flags.StringVar(&c.reason, "reason", "", "`TEXT` for the audit log and for records of the sessions")
	flags.BoolVar(&c.allTenants, "all-tenants", false, "sessions of all tenants; needs the platform's token")
	flags.BoolVar(&c.own, "include-own-session", false, "end the session of the token, too, if it is found")
	flags.StringVar(&c.cutoff, "also-block-logins-before", "", "refuse logins from before this `TIME` of users whose sessions end: 2026-01-15T12:00:00Z, or 24h")
	flags.IntVar(&c.tolerance, "tolerance", 0, "by how many sessions the number may change until the job begins")
	flags.BoolVar(&c.dryRun, "dry-run", false, "only show what would end")
	flags.BoolVar(&c.yes, "yes", false, "do not ask")
	flags.BoolVar(&c.detach, "detach", false, "do not wait for the job")
	return cmd
}

func (c *creation) run(cmd *cobra.Command) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	api, err := c.client(cmd)
	if err != nil {
		return err
	}
	answer, err := body(api.CreateRevocationJob(cmd.Context(), request))
	if err != nil {
		return err
	}
	preview, err := decode[gen.RevocationPreviewAnswer](answer)
	if err != nil {
		return err
	}
	if c.dryRun {
		return c.printPreview(cmd, answer, preview.Data)
	}
	if preview.Data.Sessions == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "nothing to end: no active sessions found")
		return nil
	}
	if !c.yes {
		question := fmt.Sprintf("End %s of %s in %s on %s (%s)?", sessionCount(preview.Data.Sessions), count(preview.Data.Users, "user"),
			count(preview.Data.Tenants, "tenant"), c.server, conditions(&request.Filter))
		if err := confirm(cmd.Context(), cmd, question); err != nil {
			return err
		}
	}
	request.DryRun, request.Confirmation = new(false), &preview.Data.Confirmation
	if answer, err = body(api.CreateRevocationJob(cmd.Context(), request)); err != nil {
		return err
	}
	created, err := decode[gen.RevocationJobAnswer](answer)
	if err != nil {
		return err
	}
	if c.detach {
		if c.local.serving() {
			fmt.Fprintln(cmd.ErrOrStderr(), "the job runs when a server does, or while `sessiond sessions jobs follow` waits for it")
		}
		return c.printJob(cmd, answer)
	}
	return c.follow(cmd, api, created.Data.Id)
}

// request is the dry run.
func (c *creation) request() (gen.CreateRevocationJobJSONRequestBody, error) {
	var request gen.CreateRevocationJobJSONRequestBody
	p, err := c.params(c.operation)
	if err != nil {
		return request, err
	}
	if c.tenant == "" && !c.allTenants {
		return request, usageError{errors.New("whose sessions? jobs create needs --tenant or --all-tenants")}
	}
	request.Filter = gen.RevocationFilter{
		TenantId: p.TenantId, PartnerId: p.PartnerId, UserId: p.UserId, Q: p.Q, Status: p.Status, Ip: p.Ip, Country: p.Country,
		DeviceType: (*gen.RevocationFilterDeviceType)(p.DeviceType), Browser: p.Browser, Os: p.Os, ApplicationId: p.ApplicationId,
		CreatedAfter: p.CreatedAfter, CreatedBefore: p.CreatedBefore, LastActivityAfter: p.LastActivityAfter, LastActivityBefore: p.LastActivityBefore,
		EndedAfter: p.EndedAfter, EndedBefore: p.EndedBefore,
	}
	request.AllTenants, request.IncludeOwnSession, request.Tolerance, request.Reason = &c.allTenants, &c.own, &c.tolerance, optional(c.reason)
	at, err := parseTime(c.cutoff, time.Now())
	if err != nil {
		return request, usageError{err}
	}
	if !at.IsZero() {
		request.AlsoBlockLoginsBefore = new(at.UTC())
	}
	return request, nil
}

func (c *creation) printPreview(cmd *cobra.Command, answer []byte, preview gen.RevocationPreview) error {
	if c.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	if err := printRecords(cmd.OutOrStdout(), preview.Sample); err != nil {
		return err
	}
	if len(preview.Sample) < preview.Sessions {
		fmt.Fprintf(cmd.ErrOrStderr(), "these are the newest %d of %d\n", len(preview.Sample), preview.Sessions)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "dry run: nothing has ended; %s of %s in %s would\n", sessionCount(preview.Sessions), count(preview.Users, "user"),
		count(preview.Tenants, "tenant"))
	return nil
}

func followJobCommand(o *operation) *cobra.Command {
	return &cobra.Command{
		Use:               "follow JOB",
		Short:             "Show how a job goes on until it is finished or paused",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := o.client(cmd)
			if err != nil {
				return err
			}
			return o.follow(cmd, api, args[0])
		},
	}
}

// followEvery is how often a job is looked at.
const followEvery = time.Second

// follow waits until a job does not run any more, and prints it.
func (o *operation) follow(cmd *cobra.Command, api *gen.ClientWithResponses, id string) error {
	ctx, stop := o.local.runJobs(cmd.Context())
	defer stop()
	progress := newProgress(cmd, 1, "ending sessions")
	for {
		answer, err := body(api.GetRevocationJob(ctx, id))
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			return o.leave(cmd, id, context.Cause(ctx))
		}
		job, err := decode[gen.RevocationJobAnswer](answer)
		if err != nil {
			return err
		}
		if job.Data.State != gen.Running {
			_ = progress.Finish()
			return o.printJob(cmd, answer)
		}
		progress.ChangeMax(max(1, job.Data.Sessions))
		_ = progress.Set(job.Data.Ended)
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// leave says what becomes of a job that is not waited for.
func (o *operation) leave(cmd *cobra.Command, id string, cause error) error {
	goesOn, on := "goes on", ""
	if o.local.serving() {
		goesOn, on = "goes on when a server runs, or while it is followed", " --on-database "+o.server
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "job %s %s; see it with: sessiond sessions jobs follow %[1]s%[3]s\n", sanitize.Text(id), goesOn, on)
	return cause
}

// printJob prints one job.
func (o *operation) printJob(cmd *cobra.Command, answer []byte) error {
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	job, err := decode[gen.RevocationJobAnswer](answer)
	if err != nil {
		return err
	}
	return printJobs(cmd.OutOrStdout(), []gen.RevocationJob{job.Data})
}

// conditions is a filter in a line: "tenant_id acme, ip 203.0.113.0/24".
func conditions(filter *gen.RevocationFilter) string {
	var members map[string]any
	written, err := json.Marshal(filter)
	if err == nil {
		err = json.Unmarshal(written, &members)
	}
	if err != nil {
		return "-"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, sanitize.Text(fmt.Sprint(name, " ", members[name])))
	}
	return strings.Join(parts, ", ")
}

// printJobs writes a table of jobs.
func printJobs(out io.Writer, jobs []gen.RevocationJob) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tSTATE\tTENANT\tCREATED\tBY\tSESSIONS\tENDED\tALREADY ENDED\tCONDITIONS\tREASON")
	for i := range jobs {
		j := &jobs[i]
		by := "-"
		if j.CreatedBy != nil {
			by = text(&j.CreatedBy.Sub)
		}
		fmt.Fprintln(table, strings.Join([]string{
			text(&j.Id), string(j.State), text(j.Filter.TenantId), instant(&j.CreatedAt.Time), by, fmt.Sprint(j.Sessions), fmt.Sprint(j.Ended),
			fmt.Sprint(j.AlreadyEnded), conditions(&j.Filter), text(j.Reason),
		}, "\t"))
	}
	return table.Flush()
}
