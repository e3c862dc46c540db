package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/sanitize"
)

func verifyCommand() *cobra.Command {
	var t trust
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Verify an access token, and explain why it is refused",
		Long: "Verifies an access token as serve does with the same flags and variables, and prints the caller. The token is read from\n" +
			"FILE or standard input and is never printed. Exits with 1 when the token is refused, and says which check failed; with 5\n" +
			"when the issuer's keys cannot be fetched. It does not check whether the session of the token has ended.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := givenToken(cmd, args)
			if err != nil {
				return usageError{err}
			}
			return t.verify(cmd, token)
		},
	}
	t.flags(cmd.Flags())
	return cmd
}

// givenToken reads the token in the file that is named, or on standard input.
func givenToken(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return fileTokens(args[0])(cmd.Context())
	}
	const most = 1 << 20 // a token is far smaller
	text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), most))
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	token, err := readToken(string(text))
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return token, nil
}

func (t *trust) verify(cmd *cobra.Command, token string) error {
	if err := t.check(); err != nil {
		return err
	}
	if t.dev { // a key that is made now has signed nothing
		if _, err := auth.LoadDevIssuer(t.dataDir); err != nil {
			return err
		}
	}
	config, keys, _, err := t.open()
	if err != nil {
		return err
	}
	verifier, err := auth.NewVerifier(config, keys, time.Now)
	if err != nil {
		return usageError{err}
	}
	caller, err := verifier.Verify(cmd.Context(), token)
	if refused, ok := errors.AsType[*auth.Error](err); ok {
		return fmt.Errorf("the token is refused, %s: %w%s", refused.Reason(), errors.Unwrap(refused), shownMember(token, refused.Reason()))
	}
	if err != nil {
		return err
	}
	return printCaller(cmd.OutOrStdout(), caller)
}

// shownMember is what an unverified token has where a check failed, "" when that is not one member.
func shownMember(token string, reason auth.Reason) string {
	const header, payload = 0, 1
	place, known := map[auth.Reason]struct {
		part int
		name string
	}{
		auth.ReasonAlgorithm: {header, "alg"}, auth.ReasonType: {header, "typ"}, auth.ReasonKey: {header, "kid"},
		auth.ReasonIssuer: {payload, "iss"}, auth.ReasonAudience: {payload, "aud"}, auth.ReasonExpired: {payload, "exp"},
	}[reason]
	parts := strings.Split(token, ".")
	if !known || len(parts) <= place.part {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[place.part])
	if err != nil {
		return ""
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members[place.name] == nil {
		return ""
	}
	value := string(sanitize.JSON(members[place.name]))
	var seconds int64
	if reason == auth.ReasonExpired && json.Unmarshal(members[place.name], &seconds) == nil {
		value += " (" + time.Unix(seconds, 0).UTC().Format(time.RFC3339) + ")"
	}
	return fmt.Sprintf("; the token has %q: %s", place.name, strings.ReplaceAll(value, "\n", " "))
}

// printCaller writes who a token speaks for, a field a line.
func printCaller(out io.Writer, c auth.Caller) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, field := range [][2]string{
		{"subject", c.Subject},
		{"tenant", c.TenantID},
		{"partner", c.PartnerID},
		{"session", c.SessionID},
		{"client", c.ClientID},
		{"scopes", strings.Join(c.Scopes, " ")},
		{"issuer", c.Issuer},
		{"audience", strings.Join(c.Audience, " ")},
	} {
		if field[1] == "" {
			field[1] = "-"
		}
		fmt.Fprintf(table, "%s\t%s\n", field[0], sanitize.Text(field[1]))
	}
	if !c.IssuedAt.IsZero() {
		fmt.Fprintf(table, "issued\t%s\n", instant(&c.IssuedAt))
	}
	fmt.Fprintf(table, "expires\t%s\n", instant(&c.ExpiresAt))
	return table.Flush()
}
