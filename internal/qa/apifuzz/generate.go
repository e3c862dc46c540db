package apifuzz

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
)

// generator makes requests. Names come from small sets, so that requests meet each other's sessions; those sets move on,
// because what has ended never comes back.
type generator struct {
	*rand.Rand
	tokens Tokens
	made   int
}

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) session() string { return id("s", g.made/40+g.IntN(5)) }
func (g *generator) tenant() string  { return id("tenant", g.made/400+g.IntN(2)) }
func (g *generator) user() string    { return id("user", g.IntN(2)) }

// id numbers a name; most can stand in a path only escaped.
func id(name string, number int) string {
	between := [...]string{"-", "/", "%2F", "//../"}
	return name + between[number%len(between)] + fmt.Sprint(number)
}

// validID makes a text one that a path can name: the contract refuses others as ids.
func validID(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, text)
	if text == "." || text == ".." {
		return "x"
	}
	return text
}

// request makes one of a kind, and says whether there is such a request of this operation.
func (g *generator) request(o operation, k kind) (*request, bool) {
	r := g.good(o)
	switch k {
	case invalid:
		return r, g.invalid(o, r)
	case broken:
		return r, g.broken(o, r)
	case odd:
		g.odd(o, r)
	case good, kinds:
	}
	return r, true
}

func (g *generator) good(o operation) *request {
	r := &request{method: o.method, path: o.path, query: url.Values{}}
	if token := g.token(o); token != "" {
		r.set("Authorization", "Bearer "+token)
	}
	for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
		name := p.Value.Name
		switch p.Value.In {
		case openapi3.ParameterInPath:
			r.path = strings.ReplaceAll(r.path, "{"+name+"}", url.PathEscape(g.segment(name)))
		case openapi3.ParameterInQuery:
			if name != "cursor" && g.IntN(2) == 0 { // which only the server makes
				r.setQuery(name, g.value(name, p.Value.Schema.Value))
			}
		}
	}
	if media, required := body(o); media != "" && (required || g.IntN(2) == 0) {
		value := g.body(o, media)
		r.setBody(media, value)
	}
	if g.IntN(4) == 0 {
		r.set("X-Request-ID", fmt.Sprintf("fuzz-%d", g.made))
	}
	return r
}

// setQuery sets a parameter; a list is one that is repeated.
func (r *request) setQuery(name string, value any) {
	switch value := value.(type) {
	case nil:
	case []any:
		for _, item := range value {
			r.query.Add(name, fmt.Sprint(item))
		}
	default:
		r.query.Set(name, fmt.Sprint(value))
	}
}

// body is the content type of an operation's body, empty for none, and whether it must be there.
func body(o operation) (string, bool) {
	if o.RequestBody == nil {
		return "", false
	}
	for media := range o.RequestBody.Value.Content {
		return media, o.RequestBody.Value.Required
	}
	return "", false
}

const (
	jsonMedia = "application/json"
	formMedia = "application/x-www-form-urlencoded"
)

func (r *request) setBody(media string, value any) {
	r.set("Content-Type", media)
	r.hasBody = true
	if media == formMedia {
		form := url.Values{}
		for name, value := range value.(map[string]any) {
			if value != nil && value != "" { // nothing in a form is as good as absent
				form.Set(name, fmt.Sprint(value))
			}
		}
		r.body = form.Encode()
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it is made of what JSON has
	}
	r.body = string(text)
}

// body makes a good body. Some operations have a rule that their schema does not say.
func (g *generator) body(o operation, media string) any {
	value := g.value("", o.RequestBody.Value.Content[media].Schema.Value)
	object, _ := value.(map[string]any)
	switch o.OperationID {
	case "revokeAllSessions":
		object[pick(g, "user_id", "tenant_id")] = pick(g, g.user(), g.tenant())
	case "revokeUserSessions":
		if object["revoke_all"] == true {
			delete(object, "session_ids")
		} else {
			object["session_ids"] = []any{g.session(), g.session()}
		}
	case "createRevocationJob": // a dry run of what can end, and says which
		filter, _ := object["filter"].(map[string]any)
		for _, member := range []string{"status", "ended_after", "ended_before"} {
			delete(filter, member)
		}
		filter["tenant_id"], filter["user_id"] = g.tenant(), g.user()
		object["dry_run"], object["all_tenants"] = true, false
	case "registerSession": // its end is after its beginning, which is now or before
		object["expires_at"] = pick(g, g.time("expires_at"), g.time("expires_at"), "9999-12-31T23:59:59.999999Z")
	case "introspectToken":
		object["token"] = pick(g, g.text(1, 40), g.tokens.Session(pick(g, "", g.tenant()), g.user(), g.session()))
	case "backchannelLogout":
		object["logout_token"] = g.text(1, 40)
	}
	return value
}

func (g *generator) token(o operation) string {
	switch {
	case o.Security != nil && len(*o.Security) == 0:
		return ""
	case strings.Contains(o.path, "/me/"):
		return g.tokens.Session(pick(g, "", g.tenant()), g.user(), pick(g, "", "", "", g.session()))
	case strings.Contains(o.path, "/lifecycle/"), strings.Contains(o.path, "/oauth2/"):
		return g.tokens.Service
	default:
		return g.tokens.Operator
	}
}

// named makes a value by the name of what it is.
func (g *generator) named(name string) (string, bool) {
	switch name {
	case "id", "session_id", "session_ids":
		return g.session(), true
	case "tenant_id":
		return g.tenant(), true
	case "user_id":
		return g.user(), true
	case "job_id":
		return pick(g, g.tokens.Jobs...), true
	case "device_id": // of no agent, and Firefox on Linux
		return pick(g, "W251bGwsbnVsbCxudWxsXQ", "WyJkZXNrdG9wIiwiTGludXgiLCJGaXJlZm94Il0"), true
	default:
		return "", false
	}
}

// segment makes a path parameter.
func (g *generator) segment(name string) string {
	if known, ok := g.named(name); ok && g.IntN(4) > 0 {
		return known
	}
	return validID(g.text(1, 40))
}

// text makes a text of a number of characters.
func (g *generator) text(low, high int) string {
	alphabet := []rune(pick(g, "abcdefghijklmnopqrstuvwxyz0123456789-", "aä€𝄞 '\"\\;%+&=<>{}[]\t\u202e\ufeff\u00a0?#", "0123456789eE+-.", "\u0001\u007faZ~"))
	text := make([]rune, low+g.IntN(high-low+1))
	for i := range text {
		text[i] = pick(g, alphabet...)
	}
	return string(text)
}

// value makes a good value of a schema. The name says where it stands.
func (g *generator) value(name string, s *openapi3.Schema) any {
	if len(s.AnyOf) > 0 {
		return g.value(name, s.AnyOf[g.IntN(len(s.AnyOf))].Value)
	}
	switch {
	case len(s.Enum) > 0:
		return pick(g, s.Enum...)
	case s.Type.Is(openapi3.TypeInteger):
		return g.integer(s)
	case s.Type.Is(openapi3.TypeBoolean):
		return g.IntN(2) == 0
	case s.Type.Is(openapi3.TypeString):
		return g.string(name, s)
	case s.Type.Is(openapi3.TypeArray):
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(name, s.Items.Value)
		}
		return list
	case s.Type.Is(openapi3.TypeObject):
		return g.object(s)
	default:
		return nil // null
	}
}

func (g *generator) object(s *openapi3.Schema) map[string]any {
	object := map[string]any{}
	for _, name := range sorted(s.Properties) {
		if slices.Contains(s.Required, name) || g.IntN(2) == 0 {
			object[name] = g.value(name, s.Properties[name].Value)
		}
	}
	if open := s.AdditionalProperties.Has; (open == nil || *open) && g.IntN(5) == 0 {
		object["x-"+g.text(0, 5)] = pick[any](g, nil, 1, "x", []any{1}, map[string]any{})
	}
	return object
}

func (g *generator) integer(s *openapi3.Schema) any {
	low, high := 1, 1<<31
	if s.Min != nil {
		low = int(*s.Min)
	}
	if s.Max != nil {
		high = int(*s.Max)
	}
	return pick(g, low, low, low+1, high, low+g.IntN(high-low+1), low+g.IntN(min(5, high-low+1)))
}

func (g *generator) string(name string, s *openapi3.Schema) string {
	switch s.Format {
	case "date-time":
		return g.time(name)
	case "ipv4":
		return pick(g, "203.0.113.7", "0.0.0.0", "255.255.255.255")
	case "ipv6":
		return pick(g, "::1", "2001:db8::1", "::ffff:192.0.2.1")
	}
	switch name { // of these few texts are good
	case "ip":
		return pick(g, "203.0.113.7", "203.0.113.0/24", "::1", "2001:db8::/32", "::ffff:192.0.2.0/120")
	case "country":
		return pick(g, "GB", "no")
	}
	if known, ok := g.named(name); ok && g.IntN(4) > 0 {
		return known
	}
	low, high := lengths(s)
	text := g.text(low, pick(g, min(low+5, high), min(low+20, high), high))
	if g.IntN(10) == 0 && s.MaxLength != nil {
		text = g.text(high, high)
	}
	if name == "id" || strings.HasSuffix(name, "_id") {
		return validID(text)
	}
	return text
}

// lengths are the fewest and the most characters of a text.
func lengths(s *openapi3.Schema) (low, high int) {
	const most = 300 // where the contract does not say
	if s.MaxLength == nil {
		return int(min(s.MinLength, most)), most
	}
	return int(min(s.MinLength, 1<<16)), int(min(*s.MaxLength, 1<<16))
}

// time makes one that is mostly in the future where a session would have ended otherwise.
func (g *generator) time(name string) string {
	if name == "expires_at" {
		return time.Now().Add(time.Duration(1+g.IntN(1000)) * time.Hour).Format(time.RFC3339) //nolint:forbidigo // it must be in the future
	}
	if name == "created_at" {
		return pick(g, "2020-01-15T08:00:00Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999999-12:00") // from 1970 on, and not in the future
	}
	return pick(g, "2026-01-15T08:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-15T08:00:00.123456789+14:00",
		"1969-12-31T23:59:59-12:00", "2024-02-29T00:00:00Z")
}

func sorted(of openapi3.Schemas) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
