package sessiond_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/gen"
)

// additions are all that openapi.yaml may say beyond the reference, each with its reason.
func additions() map[string]string {
	operation := `/paths/\S+/(get|post|put|delete)`
	return map[string]string{
		`/info/(summary|description|contact)`: "what the service is, and who answers for it",
		`/servers`:                            "a document needs a server to be tried out",
		`/tags`:                               "groups of operations, explained",
		`/security`:                           "every operation needs a token",
		`/components/securitySchemes`:         "and this is which",
		`/components/(responses|headers|parameters)`:                                                    "the errors, headers and parameters that operations share",
		operation + `/tags`:                                                                             "the group of the operation",
		operation + `/responses/(400|401|403|404|409|413|429|500|503)`:                                  "the other statuses that the server sends",
		operation + `/responses/(200|204|422)/headers`:                                                  "X-Request-ID, X-Has-More",
		operation + `/(requestBody|responses/200)/content/application/json/example`:                     "examples",
		operation + `/(parameters/\d+|requestBody)/(description|example)`:                               "what the reference leaves without a word",
		`/components/schemas/[^/]+/(properties/[^/]+/)?(description|example)`:                           "as above",
		`/components/schemas/SessionRevokeRequest/properties/session_ids/anyOf/0/maxItems`:              "what one request may name is bounded",
		operation + `/(requestBody|responses/200)/content/application/json/schema/additionalProperties`: "generators take an object without members for an empty one",
		`/components/schemas/ApiResponse_dict_str__Any__/properties/data/additionalProperties`:          "as above",
		`/paths//api/v1/me/devices\S*`:                                                                  "my devices",
		`/components/schemas/Device\S*`:                                                                 "and the answer",
		`/paths//api/v1/(sessions/{session_id}/history|audit-events)`:                                   "the tag History",
		`/components/schemas/(Event\S+|AuditEvent|AuditEventList|CursorPagination)`:                     "and its answers",
		`/paths//api/v1/sessions`:                                                                       "the tag Search",
		`/paths//api/v1/revocation-jobs\S*`:                                                             "the tag Revocation jobs",
		`/components/schemas/Revocation\S+`:                                                             "and its bodies",
		`/components/schemas/(SessionStatus|SessionRecord|SearchPagination|SessionRecordList)`:          "and its answers",
		operation + `/requestBody/content/application/json/schema/x-members`:                            "the members that the description names, for strict handling",
		`/components/schemas/OAuthError`:                                                                "RFC 6749",
		`/paths//api/v1/lifecycle/\S+`:                                                                  "the tag Session lifecycle",
		`/paths//oauth2/introspect`:                                                                     "RFC 7662",
		`/components/schemas/Error`:                                                                     "the body of every error but 422",
		`/components/schemas/(SessionRegistration|SessionActivity|SessionAppAccess)`:                    "bodies of the session lifecycle",
		`/components/schemas/(IntrospectionRequest|IntrospectionResponse)`:                              "RFC 7662",
		`/paths//oauth2/backchannel-logout`:                                                             "OpenID Connect Back-Channel Logout 1.0",
		`/components/schemas/BackchannelLogoutRequest`:                                                  "and its form",
	}
}

func TestContractKeepsTheReference(t *testing.T) {
	data, err := os.ReadFile("testdata/openapi.reference.json")
	require.NoError(t, err)
	ours, reference := parse(t, sessiond.OpenAPI), parse(t, data)
	c := &comparison{used: map[string]bool{}}
	c.compare("", reference, ours)
	assert.Empty(t, c.differences)
	for pattern := range additions() {
		assert.True(t, c.used[pattern], "nothing is added at %s any more: take it off the list", pattern)
	}
}

func TestComparisonFindsChanges(t *testing.T) {
	reference := `{"paths": {"/x": {"get": {"operationId": "long", "description": "Text.", "required": ["a", "b"], "properties": {"a": {}, "b": {"type": "string"}}}}}}`
	for name, change := range map[string][2]string{
		"a value":             {`"type": "string"`, `"type": "integer"`},
		"a missing member":    {`"type": "string"`, ``},
		"the order of fields": {`"a": {}, "b": {"type": "string"}`, `"b": {"type": "string"}, "a": {}`},
		"the order of a list": {`["a", "b"]`, `["b", "a"]`},
		"a shorter list":      {`["a", "b"]`, `["a"]`},
		"another description": {`"Text."`, `"Other text."`},
		"an addition":         {`"type": "string"`, `"type": "string", "maxLength": 3`},
		"a type of scalar":    {`"string"`, `1`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(reference, change[0], change[1], 1)
			require.NotEqual(t, reference, changed)
			c := &comparison{used: map[string]bool{}}
			c.compare("", parse(t, []byte(reference)), parse(t, []byte(changed)))
			assert.NotEmpty(t, c.differences)
		})
	}
}

func parse(t *testing.T, data []byte) *yaml.Node {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(data, &document))
	return document.Content[0]
}

// comparison walks two documents and collects where ours is not the reference with allowed additions.
type comparison struct {
	differences []string
	used        map[string]bool
}

func (c *comparison) differs(path, format string, args ...any) {
	c.differences = append(c.differences, path+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) compare(path string, reference, ours *yaml.Node) {
	switch {
	case strings.HasSuffix(path, "/operationId"):
		// The reference's are made from paths; ours are the names of SDK methods.
	case strings.HasSuffix(path, "/description") && strings.HasPrefix(path, "/paths/") && reference.Kind == yaml.ScalarNode:
		if text := strings.TrimSpace(ours.Value); text != reference.Value && !strings.HasPrefix(text, reference.Value+"\n\n") {
			c.differs(path, "does not begin with %q", reference.Value)
		}
	case reference.Kind != ours.Kind:
		c.differs(path, "is of another kind")
	case reference.Kind == yaml.MappingNode:
		c.compareMappings(path, reference, ours)
	case reference.Kind == yaml.SequenceNode:
		if len(reference.Content) != len(ours.Content) {
			c.differs(path, "has %d elements, not %d", len(ours.Content), len(reference.Content))
			return
		}
		for i := range reference.Content {
			c.compare(fmt.Sprintf("%s/%d", path, i), reference.Content[i], ours.Content[i])
		}
	case reference.Value != ours.Value || reference.ShortTag() != ours.ShortTag():
		c.differs(path, "is %q, not %q", ours.Value, reference.Value)
	}
}

func (c *comparison) compareMappings(path string, reference, ours *yaml.Node) {
	keys := keysOf(reference)
	common := slices.DeleteFunc(keysOf(ours), func(key string) bool { return !slices.Contains(keys, key) })
	if strings.HasSuffix(path, "/properties") && !slices.Equal(keys, common) {
		c.differs(path, "is in another order: %v", common)
	}
	for _, key := range keys {
		if value := member(ours, key); value != nil {
			c.compare(path+"/"+key, member(reference, key), value)
		} else {
			c.differs(path, "lacks %s", key)
		}
	}
	for _, key := range keysOf(ours) {
		if !slices.Contains(keys, key) {
			c.added(path + "/" + key)
		}
	}
}

func (c *comparison) added(path string) {
	for pattern := range additions() {
		if regexp.MustCompile("^" + pattern + "$").MatchString(path) {
			c.used[pattern] = true
			return
		}
	}
	c.differs(path, "is an addition that nobody has allowed")
}

func keysOf(mapping *yaml.Node) []string {
	var keys []string
	for i := 0; i < len(mapping.Content); i += 2 {
		keys = append(keys, mapping.Content[i].Value)
	}
	return keys
}

func member(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func TestContractIsValid(t *testing.T) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(sessiond.OpenAPI)
	require.NoError(t, err)
	// Examples are held against their schemas too.
	require.NoError(t, document.Validate(loader.Context))
	assert.True(t, document.IsOpenAPI31OrLater())

	generated, err := gen.GetSpec()
	require.NoError(t, err)
	names := map[string]bool{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			assert.Regexp(t, `^[a-z][A-Za-z]+$`, operation.OperationID, "%s %s", method, path)
			assert.False(t, names[operation.OperationID], "%s is used twice", operation.OperationID)
			names[operation.OperationID] = true
			assert.Equal(t, operation.OperationID, generated.Paths.Find(path).GetOperation(method).OperationID)
		}
	}
	assert.Len(t, names, 30, "14 operations of the reference, 2 of devices, 5 of the session lifecycle, 2 of history, the search, 6 of revocation jobs")
}
