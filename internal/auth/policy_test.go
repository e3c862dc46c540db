package auth

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
)

// The world of the matrix: partner p-1 has t-1 and t-2, partner p-2 has t-3, and t-4 belongs to nobody.
func partnerOf(tenantID string) (string, error) {
	return map[string]string{"t-1": "p-1", "t-2": "p-1", "t-3": "p-2"}[tenantID], nil
}

// operations returns the operations of the contract under their generated names.
func operations(t *testing.T) map[string]string {
	t.Helper()
	contract, err := gen.GetSpec()
	require.NoError(t, err)
	found := map[string]string{}
	for path, item := range contract.Paths.Map() {
		for _, operation := range item.Operations() {
			require.NotEmpty(t, operation.OperationID, path)
			found[strings.ToUpper(operation.OperationID[:1])+operation.OperationID[1:]] = path
		}
	}
	return found
}

// TestPolicyCoversTheContract fails when a route has no rule, or a rule no route, or the rule is of another audience than
// the path says.
func TestPolicyCoversTheContract(t *testing.T) {
	rules := Policy()
	paths := operations(t)
	require.Len(t, paths, 30)
	require.ElementsMatch(t, slices.Collect(maps.Keys(paths)), slices.Collect(maps.Keys(rules)))
	methods := reflect.TypeFor[gen.StrictServerInterface]()
	require.Len(t, rules, methods.NumMethod())
	for operation, path := range paths {
		_, ok := methods.MethodByName(operation)
		require.True(t, ok, operation)
		want := Service
		for prefix, audience := range map[string]Audience{
			"/api/v1/admin/": Platform, "/api/v1/me/": Me, "/api/v1/tenants/{tenant_id}/": Tenant,
			"/oauth2/backchannel-logout": Issuer, "/api/v1/sessions": Everyone, "/api/v1/audit-events": Everyone,
			"/api/v1/revocation-jobs": Administrators,
		} {
			if strings.HasPrefix(path, prefix) {
				want = audience
			}
		}
		require.Equal(t, want, rules[operation].Audience, operation)
	}
}

// TestPolicyScopes spells the scopes out once more, apart from the table's own helpers.
func TestPolicyScopes(t *testing.T) {
	for scopes, operations := range map[string]string{
		"partner:sessions:read admin:sessions:read":   "ListSessions GetSession",
		"partner:sessions:write admin:sessions:write": "RevokeAllSessions RevokeSession",
		"": "ListMySessions RevokeMyOtherSessions RevokeMySession ListMyDevices RevokeMyDevice BackchannelLogout",
		"sessions:read partner:sessions:read admin:sessions:read": "ListTenantSessions ListUserSessions GetTenantSession GetTenantSessionStats " +
			"SearchSessions GetSessionHistory ListAuditEvents ListRevocationJobs GetRevocationJob",
		"sessions:write partner:sessions:write admin:sessions:write": "RevokeAllTenantSessions RevokeUserSessions RevokeTenantSession " +
			"CreateRevocationJob PauseRevocationJob ResumeRevocationJob CancelRevocationJob",
		"sessions:ingest":                     "RegisterSession RecordSessionActivity RecordSessionApp",
		"sessions:introspect sessions:ingest": "IntrospectToken",
	} {
		for operation := range strings.FieldsSeq(operations) {
			require.Equal(t, scopes, strings.Join(Policy()[operation].Scopes, " "), operation)
		}
	}
}

// TestPolicyMatrix asks for every operation, every set of up to two scopes, every kind of token and every target, and
// compares with the table of semantics.md written down as a second, slower program.
func TestPolicyMatrix(t *testing.T) {
	scopes := []string{
		"", "sessions:read", "sessions:write", "partner:sessions:read", "partner:sessions:write", "admin:sessions:read",
		"admin:sessions:write", "sessions:ingest", "sessions:introspect", "sessions", "admin", "sessions:*", "SESSIONS:READ",
	}
	identities := []Caller{
		{Subject: "u-1"},
		{Subject: "u-1", TenantID: "t-1", ClientID: "app"},
		{Subject: "u-1", TenantID: "t-3", PartnerID: "p-1"},
		{Subject: "u-1", PartnerID: "p-1"},
		{Subject: "u-1", PartnerID: "p-2"},
		{Subject: "svc", ClientID: "svc"},
		{Subject: "svc", ClientID: "svc", TenantID: "t-1"},
		{Subject: "svc", ClientID: "svc", TenantID: "t-4", PartnerID: "p-1"},
	}
	allowed, refused := 0, 0
	for operation, rule := range Policy() {
		for _, caller := range identities {
			for i, first := range scopes {
				for _, second := range scopes[i:] {
					for _, target := range []string{"t-1", "t-2", "t-3", "t-4", "absent", ""} {
						caller.Scopes = []string{first, second}
						want := expected(operation, rule.Audience, caller, target)
						got := decided(t, operation, caller, target)
						require.Equal(t, want, got, "%s by %+v on %q", operation, caller, target)
						if want.grant != nil {
							allowed++
						} else {
							refused++
						}
					}
				}
			}
		}
	}
	require.Greater(t, allowed, 5000)
	require.Greater(t, refused, 5000)
}

// verdict is a decision in a form that can be compared: a grant, or a refusal with the missing scope if that is why.
type verdict struct {
	grant *Grant
	scope string
}

func decided(t *testing.T, operation string, caller Caller, target string) verdict {
	t.Helper()
	grant, err := Policy().Decide(operation, caller, target, partnerOf)
	if err == nil {
		return verdict{grant: &grant}
	}
	require.Zero(t, grant)
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.True(t, refusal.Forbidden())
	return verdict{scope: refusal.scope}
}

// expected is the table of semantics.md, row by row.
func expected(operation string, audience Audience, caller Caller, target string) verdict {
	action := "read"
	if slices.ContainsFunc([]string{"Revoke", "Create", "Pause", "Resume", "Cancel"}, func(verb string) bool { return strings.HasPrefix(operation, verb) }) {
		action = "write"
	}
	has := func(scope string) bool { return slices.Contains(caller.Scopes, scope) }
	own, partner, admin := has("sessions:"+action), has("partner:sessions:"+action), has("admin:sessions:"+action)
	owner, _ := partnerOf(target)
	service := has("sessions:ingest") || operation == "IntrospectToken" && has("sessions:introspect")
	all := audience == Everyone || audience == Administrators
	restricted := Grant{TenantID: caller.TenantID}
	if caller.TenantID == "" {
		restricted.PartnerID = caller.PartnerID
	}
	switch {
	case audience == Issuer:
		return verdict{}

	case audience == Me && caller.Subject == caller.ClientID:
		return verdict{}
	case audience == Me:
		return verdict{grant: &Grant{TenantID: caller.TenantID}}

	case all && admin:
		return verdict{grant: &Grant{}}
	case all && partner && caller.PartnerID != "":
		return verdict{grant: &Grant{PartnerID: caller.PartnerID}}
	case all && own && caller.TenantID != "":
		return verdict{grant: &Grant{TenantID: caller.TenantID}}
	case audience == Everyone && caller.Subject != caller.ClientID:
		return verdict{grant: &Grant{TenantID: caller.TenantID, UserID: caller.Subject}}
	case all && (own || partner):
		return verdict{}
	case all:
		return verdict{scope: "sessions:" + action}

	case audience == Service && service:
		return verdict{grant: &restricted}
	case audience == Service && operation == "IntrospectToken":
		return verdict{scope: "sessions:introspect"}
	case audience == Service:
		return verdict{scope: "sessions:ingest"}

	case audience == Platform && admin:
		return verdict{grant: &Grant{}}
	case audience == Platform && partner && caller.PartnerID != "":
		return verdict{grant: &Grant{PartnerID: caller.PartnerID}}
	case audience == Platform && partner:
		return verdict{}
	case audience == Platform && caller.PartnerID != "":
		return verdict{scope: "partner:sessions:" + action}
	case audience == Platform:
		return verdict{scope: "admin:sessions:" + action}

	case !own && !partner && !admin:
		return verdict{scope: "sessions:" + action}
	case target == "":
		return verdict{}
	case admin, own && caller.TenantID == target, partner && owner != "" && caller.PartnerID == owner:
		return verdict{grant: &Grant{TenantID: target}}
	default:
		return verdict{}
	}
}

func TestDecideRefusesWhatIsNotInTheTable(t *testing.T) {
	caller := Caller{Subject: "u", Scopes: []string{"admin:sessions:read", "admin:sessions:write", "sessions:ingest"}}
	for _, operation := range []string{"", "ListEverything", "listSessions", "LISTSESSIONS"} {
		_, err := Policy().Decide(operation, caller, "t-1", partnerOf)
		require.ErrorIs(t, err, ErrNotInPolicy)
		require.NotErrorAs(t, err, new(*Error), "it is the program's fault, not the caller's")
	}
	_, err := Rules{"X": {}}.Decide("X", caller, "t-1", partnerOf)
	require.ErrorIs(t, err, ErrNotInPolicy)
}

func TestDecideAsksForThePartnerOnlyWhenItMatters(t *testing.T) {
	broken := errors.New("the database is away")
	asked := 0
	ask := func(string) (string, error) { asked++; return "p-1", broken }
	for _, caller := range []Caller{
		{TenantID: "t-1", Scopes: []string{"sessions:read", "partner:sessions:read"}, PartnerID: "p-1"},
		{Scopes: []string{"admin:sessions:read", "partner:sessions:read"}, PartnerID: "p-1"},
	} {
		_, err := Policy().Decide("ListTenantSessions", caller, "t-1", ask)
		require.NoError(t, err)
	}
	for _, caller := range []Caller{
		{TenantID: "t-2", Scopes: []string{"sessions:read"}, PartnerID: "p-1"},
		{TenantID: "t-2", Scopes: []string{"partner:sessions:read"}},
		{TenantID: "t-2", Scopes: []string{"partner:sessions:write"}, PartnerID: "p-1"},
	} {
		_, err := Policy().Decide("ListTenantSessions", caller, "t-1", ask)
		require.ErrorAs(t, err, new(*Error))
	}
	require.Zero(t, asked)
	caller := Caller{Scopes: []string{"partner:sessions:read"}, PartnerID: "p-1"}
	grant, err := Policy().Decide("ListTenantSessions", caller, "t-1", ask)
	require.ErrorIs(t, err, broken, "no answer is no permission")
	require.Zero(t, grant)
}

// TestForeignAndAbsentTenantsLookTheSame compares the refusals for a partner.
func TestForeignAndAbsentTenantsLookTheSame(t *testing.T) {
	caller := Caller{Scopes: []string{"partner:sessions:read"}, PartnerID: "p-1"}
	_, foreign := Policy().Decide("GetTenantSession", caller, "t-3", partnerOf)
	_, absent := Policy().Decide("GetTenantSession", caller, "absent", partnerOf)
	require.Equal(t, foreign, absent)
	require.EqualError(t, foreign, "The token does not reach this tenant.")
}
