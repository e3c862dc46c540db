package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
	"github.com/sessiond/sessiond/internal/auth"
)

// TestSessionsHistory: why was she signed out, by whom, and where was she signed in from?
func TestSessionsHistory(t *testing.T) {
	s := populated(t)
	address := "198.51.100.4"
	_, err := s.api.RecordSessionActivityWithResponse(t.Context(), "s-2", gen.SessionActivity{IpAddress: &address})
	require.NoError(t, err)
	require.Zero(t, s.run("revoke", "s-2", "--reason", "lost phone").code)

	o := s.run("history", "s-2")
	require.Zero(t, o.code, o.message)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	require.Len(t, lines, 4, o.stdout)
	for i, words := range []string{"AT ACTION CHANGES", "session.registered idp address 203.0.113.7", "session.changed address 203.0.113.7 → 198.51.100.4", "session.revoked operator lost phone"} {
		for word := range strings.FieldsSeq(words) {
			assert.Contains(t, lines[i], word)
		}
	}
	assert.Empty(t, o.stderr)

	s.as(auth.TokenRequest{Subject: "boss", TenantID: "acme", Scope: "sessions:read"})
	o = s.run("audit", "--user", "ada", "--action", "session.revoked", "--since", "1h")
	require.Zero(t, o.code, o.message)
	assert.Contains(t, o.stdout, "lost phone")
	assert.Len(t, strings.Split(strings.TrimSpace(o.stdout), "\n"), 2)
	o = s.run("audit", "--limit", "2")
	require.Zero(t, o.code, o.message)
	assert.Len(t, strings.Split(strings.TrimSpace(o.stdout), "\n"), 3)
	assert.Equal(t, "these are 2 events, and there are more; --limit 0 shows all\n", o.stderr)
	o = s.run("audit", "--limit", "0", "--json")
	require.Zero(t, o.code, o.message)
	found, err := decode[gen.AuditEventList]([]byte(o.stdout))
	require.NoError(t, err)
	assert.Len(t, found.Data, 5, "three registrations, a change and a revocation in this tenant")
	assert.False(t, found.Data[0].At.Before(found.Data[4].At.Time), "the newest first")

	for args, code := range map[string]int{
		"history s-4": 3, "history": 2, "history ..": 2, "audit --action session.revokd": 2, "audit --since yesterday": 2, "audit --limit -1": 2,
	} {
		assert.Equal(t, code, s.run(strings.Fields(args)...).code, args)
	}
	assert.Less(t, time.Since(found.Data[0].At.Time), time.Minute)
}
