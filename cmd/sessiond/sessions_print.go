package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/sanitize"
)

// decode reads an answer of the API.
func decode[T any](answer []byte) (T, error) {
	var value T
	if err := json.Unmarshal(answer, &value); err != nil {
		return value, fmt.Errorf("the answer is not the API's, check the server's address: %w", err)
	}
	return value, nil
}

// printJSON writes an answer as one line that is safe to show and means the same.
func printJSON(out io.Writer, answer []byte) error {
	var line bytes.Buffer
	if err := json.Compact(&line, answer); err != nil {
		return fmt.Errorf("the answer is not the API's, check the server's address: %w", err)
	}
	_, err := fmt.Fprintf(out, "%s\n", sanitize.JSON(line.Bytes()))
	return err
}

// printSessions writes a table, with times as the API has them (RFC 3339, UTC). The session of the caller has a star.
func printSessions(out io.Writer, sessions []gen.SessionListItem) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SESSION\tUSER\tEMAIL\tDEVICE\tADDRESS\tSIGNED IN\tLAST USED\tEXPIRES\tAPPS")
	for _, s := range sessions {
		id := sanitize.Text(s.Id)
		if s.IsCurrent {
			id += " *"
		}
		row := []string{
			id, sanitize.Text(s.UserId), text(s.UserEmail), text(s.DeviceType), text(s.IpAddress),
			instant(&s.CreatedAt.Time), lastUsed(s.LastActivityAt), instant(&s.ExpiresAt.Time), fmt.Sprint(s.AppCount),
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printSession writes one session, a field a line.
func printSession(out io.Writer, s gen.SessionResponse) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, field := range [][2]string{
		{"session", sanitize.Text(s.Id)},
		{"user", sanitize.Text(s.UserId)},
		{"email", text(s.UserEmail)},
		{"name", text(s.UserDisplayName)},
		{"device", text(s.DeviceType)},
		{"agent", text(s.UserAgent)},
		{"address", text(s.IpAddress)},
		{"location", text(s.Location)},
		{"signed in", instant(&s.CreatedAt.Time)},
		{"last used", lastUsed(s.LastActivityAt)},
		{"expires", instant(&s.ExpiresAt.Time)},
		{"current", fmt.Sprint(s.IsCurrent)},
	} {
		fmt.Fprintf(table, "%s\t%s\n", field[0], field[1])
	}
	for _, app := range s.SsoApps {
		fmt.Fprintf(table, "app\t%s (%s) at %s\n", sanitize.Text(app.ApplicationName), sanitize.Text(app.ApplicationId), instant(&app.AccessedAt.Time))
	}
	return table.Flush()
}

// tenantStats is the data of a tenant's statistics, which the contract leaves open and describes in words.
type tenantStats struct {
	Total        int            `json:"total_sessions"`
	Active       int            `json:"active_sessions"`
	Expired      int            `json:"expired_sessions"`
	Revoked      int            `json:"revoked_sessions"`
	Users        int            `json:"unique_users"`
	Devices      map[string]int `json:"sessions_by_device_type"`
	Applications []struct {
		Name     string `json:"application_name"`
		Sessions int    `json:"sessions"`
	} `json:"top_applications"`
	Created int       `json:"created_last_24h"`
	Ended   int       `json:"revoked_last_24h"`
	AsOf    time.Time `json:"as_of"`
}

func printStats(out io.Writer, s tenantStats) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "sessions\t%d (%d active, %d expired, %d revoked)\n", s.Total, s.Active, s.Expired, s.Revoked)
	fmt.Fprintf(table, "users\t%d with an active session\n", s.Users)
	fmt.Fprintf(table, "last 24 hours\t%d signed in, %d revoked\n", s.Created, s.Ended)
	for _, device := range slices.Sorted(maps.Keys(s.Devices)) {
		fmt.Fprintf(table, "on %s\t%d active\n", sanitize.Text(device), s.Devices[device])
	}
	for _, application := range s.Applications {
		fmt.Fprintf(table, "in %s\t%d active\n", sanitize.Text(application.Name), application.Sessions)
	}
	fmt.Fprintf(table, "as of\t%s\n", instant(&s.AsOf))
	return table.Flush()
}

// printCount says how many sessions have ended.
func printCount(out io.Writer, n int) error {
	_, err := fmt.Fprintf(out, "%s ended\n", sessionCount(n))
	return err
}

// sessionCount is a number of sessions in words.
func sessionCount(n int) string { return count(n, "session") }

// count is a number of things in words.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// text is a value that may be unknown.
func text(value *string) string {
	if value == nil {
		return "-"
	}
	return sanitize.Text(*value)
}

func lastUsed(at *gen.Timestamp) string {
	if at == nil {
		return instant(nil)
	}
	return instant(&at.Time)
}

func instant(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}
