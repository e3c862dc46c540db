package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/template"
	"time"

	"github.com/sessiond/sessiond/internal/auth"
	"github.com/sessiond/sessiond/internal/sanitize"
	"github.com/sessiond/sessiond/store"
)

// tourTTL is how long the tokens of the tour are valid: a working day.
const tourTTL = 12 * time.Hour

// tourText is the lines that a newcomer pastes into another terminal. The ids in them were chosen by whoever signed in, so each is
// escaped for where it stands, and in single quotes for the shell.
const tourText = `
sessiond serves {{.Base}} for development; the API explorer is {{.Base}}/docs/

As the identity provider that registers sessions:
  IDP='{{.Provider}}'
  curl -s -H "Authorization: Bearer $IDP" -H 'Content-Type: application/json' {{.Base}}/api/v1/lifecycle/sessions \
    -d '{"id": "my-first-session", "tenant_id": {{json .Tenant}}, "user_id": {{json .User}}, "expires_at": "{{.Tomorrow}}"}'

As the platform's administrator:
  ADMIN='{{.Admin}}'
  curl -s -H "Authorization: Bearer $ADMIN" '{{.Base}}/api/v1/admin/sessions/?per_page=2'

As the administrator of the tenant {{sanitized .Tenant}}:
  TENANT='{{.TenantAdmin}}'
  curl -s -H "Authorization: Bearer $TENANT" '{{.Base}}/api/v1/tenants/{{path .Tenant}}/sessions?per_page=2'
  curl -s -H "Authorization: Bearer $TENANT" '{{.Base}}/api/v1/tenants/{{path .Tenant}}/sessions/stats'

As the user {{sanitized .User}}, signed in with the session {{sanitized .Session}}:
  ME='{{.Me}}'
  curl -s -H "Authorization: Bearer $ME" {{.Base}}/api/v1/me/sessions
  curl -s -H "Authorization: Bearer $ME" -X DELETE '{{.Base}}/api/v1/me/sessions/{{path .Session}}'

`

// printTour prints the tour, with tokens for somebody of each kind.
func printTour(ctx context.Context, out io.Writer, db *store.Store, issuer *auth.DevIssuer, base string) error {
	tenantID, userID, sessionID := "acme", "acme-u001", "my-first-session"
	newest, _, err := db.ListSessions(ctx, store.CallerSession{}, store.AllTenants(), store.Filter{ActiveOnly: true}, store.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(newest) == 1 {
		tenantID, userID, sessionID = newest[0].TenantID, newest[0].UserID, newest[0].ID
	}
	words := map[string]string{
		"Base": base, "Tenant": tenantID, "User": userID, "Session": sessionID,
		"Tomorrow": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339),
	}
	for name, request := range map[string]auth.TokenRequest{
		"Admin":       {Subject: "operator", Scope: "admin:sessions:read admin:sessions:write"},
		"TenantAdmin": {Subject: tenantID + "-admin", TenantID: tenantID, Scope: "sessions:read sessions:write"},
		"Me":          {Subject: userID, TenantID: tenantID, SessionID: sessionID},
		"Provider":    {Subject: "idp", ClientID: "idp", Scope: "sessions:ingest"},
	} {
		request.TTL = tourTTL
		if words[name], err = issuer.Mint(request, time.Now()); err != nil {
			return fmt.Errorf("mint a token: %w", err)
		}
	}
	escapes := template.FuncMap{"sanitized": sanitize.Text, "path": url.PathEscape, "json": jsonText}
	return template.Must(template.New("tour").Funcs(escapes).Parse(tourText)).Execute(out, words)
}

// jsonText is a text as JSON that may stand in single quotes in a shell.
func jsonText(text string) (string, error) {
	encoded, err := json.Marshal(text)
	return strings.ReplaceAll(string(sanitize.JSON(encoded)), "'", `\u0027`), err
}
