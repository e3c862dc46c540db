package handlers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/openapi"
	"github.com/sessiond/sessiond/internal/qa/corpus"
	"github.com/sessiond/sessiond/store/storetest"
)

// memberOrder holds the bytes of an answer against the contract's order: the members of every object are in the order of
// the schema's properties or, where the contract declares an object without properties, in the order of the example.
//
// The fixture applies it to every answer of every test, and TestEveryDeclaredResponse gets every declared one.
type memberOrder struct{ contract *yaml.Node }

// newMemberOrder reads the contract once.
var newMemberOrder = sync.OnceValue(func() memberOrder {
	var document yaml.Node
	if err := yaml.Unmarshal(sessiond.OpenAPI, &document); err != nil {
		panic(err)
	}
	return memberOrder{document.Content[0]}
})

// problems says what is out of order in an answer, and which times have another form than the contract's.
func (o memberOrder) problems(path, method string, status int, body []byte) []string {
	return o.walk(path, method, status, body, &orderWalk{order: o})
}

// problemsOfReference is the same for an answer of the reference: some of its members are placeholders, and it leaves out
// the fraction of a whole second.
func (o memberOrder) problemsOfReference(path, method string, status int, body []byte) []string {
	return o.walk(path, method, status, body, &orderWalk{order: o, reference: true})
}

func (o memberOrder) walk(path, method string, status int, body []byte, w *orderWalk) []string {
	value, err := decodeOrdered(body)
	if err != nil {
		return []string{err.Error()}
	}
	schema, example := o.declared(path, method, status)
	w.value("", value, schema, example)
	return w.problems
}

// declared is the schema of an answer and its example; either may be nil. A schema that allows anything is replaced by the
// one that the operation's description names.
func (o memberOrder) declared(path, method string, status int) (schema, example *yaml.Node) {
	operation := nodeAt(o.contract, "paths", path, strings.ToLower(method))
	media := nodeAt(o.resolve(nodeAt(operation, "responses", fmt.Sprint(status))), "content", "application/json")
	schema, example = nodeAt(media, "schema"), nodeAt(media, "example")
	description := nodeAt(operation, "description")
	if schema == nil || nodeAt(schema, "$ref") != nil || status != http.StatusOK || description == nil {
		return schema, example
	}
	if named := regexp.MustCompile("answer is an?\\s+`(\\w+)`").FindStringSubmatch(description.Value); named != nil {
		schema = nodeAt(o.contract, "components", "schemas", named[1])
	}
	return schema, example
}

// resolve follows a reference, and takes the alternative of an anyOf that is not null.
func (o memberOrder) resolve(node *yaml.Node) *yaml.Node {
	if ref := nodeAt(node, "$ref"); ref != nil {
		return o.resolve(nodeAt(o.contract, strings.Split(strings.TrimPrefix(ref.Value, "#/"), "/")...))
	}
	if alternatives := nodeAt(node, "anyOf"); alternatives != nil {
		for _, alternative := range alternatives.Content {
			if kind := nodeAt(alternative, "type"); kind == nil || kind.Value != "null" {
				return o.resolve(alternative)
			}
		}
	}
	return node
}

// orderWalk is one walk over one answer.
type orderWalk struct {
	order     memberOrder
	reference bool
	problems  []string
}

func (w *orderWalk) problem(place, format string, arguments ...any) {
	w.problems = append(w.problems, place+": "+fmt.Sprintf(format, arguments...))
}

func (w *orderWalk) value(place string, value any, schema, example *yaml.Node) {
	schema = w.order.resolve(schema)
	switch value := value.(type) {
	case orderedObject:
		w.object(place, value, schema, example)
	case []any:
		for i, element := range value {
			w.value(fmt.Sprintf("%s/%d", place, i), element, nodeAt(schema, "items"), first(example))
		}
	case string:
		format := nodeAt(schema, "format")
		aTime := format != nil && format.Value == "date-time" || example != nil && isTime(example.Value)
		if aTime && !w.reference && !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`).MatchString(value) {
			w.problem(place, "%q is not a time in UTC with six fraction digits", value)
		}
	}
}

func (w *orderWalk) object(place string, object orderedObject, schema, example *yaml.Node) {
	properties := nodeAt(schema, "properties")
	names := namesOf(properties)
	if names == nil {
		names = namesOf(example)
	}
	last := -1
	for _, member := range object {
		index := slices.Index(names, member.name)
		switch {
		case index < 0 && w.reference:
			continue
		case index < 0:
			w.problem(place, "the contract does not declare %s", member.name)
			continue
		case index < last:
			w.problem(place, "%s comes after %s", member.name, names[last])
		default:
			last = index
		}
		w.value(place+"/"+member.name, member.value, nodeAt(properties, member.name), nodeAt(example, member.name))
	}
}

// nodeAt is the node at a path of keys, nil when there is none.
func nodeAt(node *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		found := slices.Index(namesOf(node), key)
		if found < 0 {
			return nil
		}
		node = node.Content[2*found+1]
	}
	return node
}

func namesOf(mapping *yaml.Node) []string {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	var names []string
	for pair := range slices.Chunk(mapping.Content, 2) {
		names = append(names, pair[0].Value)
	}
	return names
}

func first(list *yaml.Node) *yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil
	}
	return list.Content[0]
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339Nano, text)
	return err == nil
}

// orderedObject is a JSON object with its members as they come in the text.
type orderedObject []orderedMember

type orderedMember struct {
	name  string
	value any
}

// decodeOrdered decodes JSON to orderedObject, []any and scalars.
func decodeOrdered(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	value, err := decodeNext(decoder)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the document: %s", text)
	}
	return value, nil
}

func decodeNext(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			element, err := decodeNext(decoder)
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		_, err = decoder.Token()
		return list, err
	case json.Delim('{'):
		var object orderedObject
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := decodeNext(decoder)
			if err != nil {
				return nil, err
			}
			object = append(object, orderedMember{fmt.Sprint(name), value})
		}
		_, err = decoder.Token()
		return object, err
	default:
		return token, nil
	}
}

// TestExamplesAreInOrder: the examples are what the answers are held against where the contract declares just an object.
func TestExamplesAreInOrder(t *testing.T) {
	order := newMemberOrder()
	examples := 0
	for _, path := range namesOf(nodeAt(order.contract, "paths")) {
		for _, method := range namesOf(nodeAt(order.contract, "paths", path)) {
			for _, status := range namesOf(nodeAt(order.contract, "paths", path, method, "responses")) {
				var code int
				_, err := fmt.Sscan(status, &code)
				require.NoError(t, err)
				if _, example := order.declared(path, method, code); example != nil {
					examples++
					assert.Empty(t, order.problems(path, method, code, toJSON(t, example)), "%s %s %s", method, path, status)
				}
			}
		}
	}
	assert.Greater(t, examples, 100)
	// A user's own list is the one whose schema has no name.
	_, example := order.declared("/api/v1/me/sessions", http.MethodGet, http.StatusOK)
	assert.Equal(t, []string{"data", "meta"}, namesOf(example))
	for place, schema := range map[*yaml.Node]string{first(nodeAt(example, "data")): "SessionListItem", nodeAt(example, "meta"): "MetaResponse"} {
		assert.Equal(t, namesOf(nodeAt(order.contract, "components", "schemas", schema, "properties")), namesOf(place))
	}
}

// toJSON converts an example. Its order must survive, so the text is written member by member.
func toJSON(t *testing.T, node *yaml.Node) []byte {
	t.Helper()
	var parts []string
	switch node.Kind {
	case yaml.MappingNode:
		for pair := range slices.Chunk(node.Content, 2) {
			parts = append(parts, fmt.Sprintf("%q:%s", pair[0].Value, toJSON(t, pair[1])))
		}
		return []byte("{" + strings.Join(parts, ",") + "}")
	case yaml.SequenceNode:
		for _, element := range node.Content {
			parts = append(parts, string(toJSON(t, element)))
		}
		return []byte("[" + strings.Join(parts, ",") + "]")
	default:
		var value any
		require.NoError(t, node.Decode(&value))
		text, err := json.Marshal(value)
		require.NoError(t, err)
		return text
	}
}

// TestReferenceAnswersInTheSameOrder: the recorded answers of the reference are in the order that ours are held against.
func TestReferenceAnswersInTheSameOrder(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	cases, err := corpus.Read()
	require.NoError(t, err)
	checked := map[int]int{}
	for _, c := range cases {
		request, err := http.NewRequestWithContext(t.Context(), c.Method, "http://localhost"+c.Target, http.NoBody)
		if err != nil || c.Expect.Status != http.StatusOK && c.Expect.Status != http.StatusUnprocessableEntity {
			continue
		}
		route, _, err := f.router.FindRoute(request)
		if err != nil {
			continue // a path that only the reference reads as one of its own
		}
		body := []byte(c.Expect.Body)
		if c.Expect.Status == http.StatusUnprocessableEntity {
			// The plain body has members that the schema does not declare; this is the one with those that it does.
			body = fmt.Appendf(nil, `{"detail":%s}`, c.Expect.Detail)
		}
		assert.Empty(t, f.order.problemsOfReference(route.Path, c.Method, c.Expect.Status, body), c.ID)
		checked[c.Expect.Status]++
	}
	assert.Greater(t, checked[http.StatusOK], 600)
	assert.Greater(t, checked[http.StatusUnprocessableEntity], 1000)
}

// TestAnswersOfEveryOperationAreHeld: the fixture passes over what is no operation, and so must find each that is one.
func TestAnswersOfEveryOperationAreHeld(t *testing.T) {
	f := newFixture(t, storetest.SQLite)
	for _, path := range namesOf(nodeAt(f.order.contract, "paths")) {
		for _, method := range namesOf(nodeAt(f.order.contract, "paths", path)) {
			target := f.server.URL + strings.NewReplacer("{", "", "}", "").Replace(path)
			request, err := http.NewRequestWithContext(t.Context(), strings.ToUpper(method), target, http.NoBody)
			require.NoError(t, err)
			route, _, err := f.router.FindRoute(request)
			require.NoError(t, err, "%s %s", method, path)
			assert.Equal(t, path, route.Path)
		}
	}
}

func TestOpenAPIDocumentIsInOrder(t *testing.T) {
	want, err := openapi.JSON(sessiond.OpenAPI)
	require.NoError(t, err)
	got := newFixture(t, storetest.SQLite).do(http.MethodGet, "/openapi.json", "", nil).want(http.StatusOK)
	if string(want) != got.body { // assert.Equal would print both
		t.Error("/openapi.json is not the contract in its own order")
	}
}

// TestMemberOrderFindsWhatIsOutOfOrder: the check can fail.
func TestMemberOrderFindsWhatIsOutOfOrder(t *testing.T) {
	order := newMemberOrder()
	const (
		admin, stats, own = "/api/v1/admin/sessions/", "/api/v1/tenants/{tenant_id}/sessions/stats", "/api/v1/me/sessions"
		list              = "/api/v1/tenants/{tenant_id}/sessions"
	)
	for body, c := range map[string]struct {
		path   string
		status int
		want   []string
	}{
		`{"data":[{"id":"1","user_id":"2"}],"meta":{"request_id":"x","timestamp":"2026-01-15T09:30:00.000000Z"}}`: {list, 200, nil},
		`{"meta":{},"data":[]}`:                                                  {list, 200, []string{": data comes after meta"}},
		`{"data":[],"meta":{},"pagination":{}}`:                                  {admin, 200, []string{": pagination comes after meta"}},
		`{"data":[{"id":"1"},{"app_count":1,"id":"2"}]}`:                         {list, 200, []string{"/data/1: id comes after app_count"}},
		`{"data":[{"user_id":"1","id":"2"}]}`:                                    {own, 200, []string{"/data/0: id comes after user_id"}},
		`{"data":{"as_of":"2026-01-15T09:30:00.000000Z","total_sessions":1}}`:    {stats, 200, []string{"/data: total_sessions comes after as_of"}},
		`{"data":{"sessions_by_device_type":{"bot":1,"desktop":1}}}`:             {stats, 200, []string{"/data/sessions_by_device_type: desktop comes after bot"}},
		`{"data":{"top_applications":[{"sessions":1,"application_id":"wiki"}]}}`: {stats, 200, []string{"/data/top_applications/0: application_id comes after sessions"}},
		`{"data":{"as_of":"2026-01-15T09:30:00.5Z"}}`:                            {stats, 200, []string{`/data/as_of: "2026-01-15T09:30:00.5Z" is not a time in UTC with six fraction digits`}},
		`{"meta":{"timestamp":"2026-01-15T09:30:00Z"}}`:                          {list, 200, []string{`/meta/timestamp: "2026-01-15T09:30:00Z" is not a time in UTC with six fraction digits`}},
		`{"data":[{"last_activity_at":"2026-01-15T09:30:00.000000+00:00"}]}`:     {admin, 200, []string{`/data/0/last_activity_at: "2026-01-15T09:30:00.000000+00:00" is not a time in UTC with six fraction digits`}},
		`{"data":[{"last_activity_at":null}]}`:                                   {admin, 200, nil},
		`{"more":1}`:                                                             {list, 200, []string{": the contract does not declare more"}},
		`{"detail":[{"loc":[],"type":"t","msg":"m"}]}`:                           {list, 422, []string{"/detail/0: msg comes after type"}},
		`{"detail":"Sentence."}`:                                                 {list, 401, nil},
		`{} {}`:                                                                  {list, 200, []string{"text after the document: {} {}"}},
	} {
		assert.Equal(t, c.want, order.problems(c.path, http.MethodGet, c.status, []byte(body)), body)
	}
}
