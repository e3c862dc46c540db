package apifuzz

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// invalid breaks one rule of the contract in a good request, and says whether there was one to break.
func (g *generator) invalid(o operation, r *request) bool {
	var ways []func()
	for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
		name, schema := p.Value.Name, p.Value.Schema.Value
		texts := invalidTexts(schema)
		if p.Value.In == openapi3.ParameterInPath && schema.MaxLength != nil {
			texts = append(texts, "a\nb", "\u009b", "..", ".") // it is an id
		}
		if name == "cursor" {
			texts = texts[:1] // the others are no cursors, which is looked at when the session is known
		}
		for _, text := range texts {
			switch p.Value.In {
			case openapi3.ParameterInQuery:
				ways = append(ways, func() { r.query.Set(name, text); r.note = name })
			case openapi3.ParameterInPath:
				ways = append(ways, func() { r.path = r.path[:strings.LastIndex(r.path, "/")+1] + url.PathEscape(text); r.note = name })
			}
		}
	}
	if media, required := body(o); media != "" {
		schema := o.RequestBody.Value.Content[media].Schema.Value
		ways = append(ways, g.invalidBodies(o, r, media, schema)...)
		if required {
			ways = append(ways, func() { r.drop("Content-Type"); r.body, r.hasBody, r.note = "", false, "no body" })
		}
	}
	if len(ways) == 0 {
		return false
	}
	pick(g, ways...)()
	return true
}

// invalidTexts are texts that a parameter's schema does not allow.
func invalidTexts(s *openapi3.Schema) []string {
	switch {
	case s.Type.Is(openapi3.TypeArray):
		return invalidTexts(s.Items.Value)
	case len(s.Enum) > 0:
		return []string{"", "x", "NULL"}
	case s.Format == "date-time":
		return []string{"", "tomorrow", "2026-02-30T00:00:00Z", "2026-01-15T25:00:00Z"}
	case s.Type.Is(openapi3.TypeInteger):
		texts := []string{"", "x", "1.5", "0x10", "true", "1e3", "--1", "٣x"}
		if s.Min != nil {
			texts = append(texts, fmt.Sprint(int(*s.Min)-1), "-9223372036854775809")
		}
		if s.Max != nil {
			texts = append(texts, fmt.Sprint(int(*s.Max)+1), "99999999999999999999999")
		}
		return texts
	case s.Type.Is(openapi3.TypeBoolean):
		return []string{"", "maybe", "2", "truee", "null"}
	case s.Type.Is(openapi3.TypeString) && s.MaxLength != nil:
		return []string{tooLong(s, "x")}
	default:
		return nil
	}
}

func tooLong(s *openapi3.Schema, of string) string {
	_, most := lengths(s)
	return strings.Repeat(of, most+1)
}

// invalidBodies are ways to break a rule of a body.
func (g *generator) invalidBodies(o operation, r *request, media string, schema *openapi3.Schema) []func() {
	var ways []func()
	way := func(note string, value any) {
		ways = append(ways, func() { r.setBody(media, value); r.note = note })
	}
	if media == formMedia {
		way("nothing in the form", map[string]any{})
		way("another member", map[string]any{"x": "y"})
		return ways
	}
	for _, other := range []any{[]any{}, "text", 1.5, true} {
		way("no object", other)
	}
	if o.OperationID == "revokeAllSessions" {
		way("whose sessions is not said", map[string]any{"reason": "x"})
		way("no text", map[string]any{"user_id": 7})
	}
	if o.OperationID == "registerSession" {
		late, early := g.body(o, media).(map[string]any), g.body(o, media).(map[string]any)
		late["created_at"] = "9999-01-01T00:00:00Z"
		early["created_at"], early["expires_at"] = "2002-01-01T00:00:00Z", "2001-01-01T00:00:00Z"
		for _, member := range []string{"id", "user_id", "tenant_id", "partner_id"} {
			hidden := g.body(o, media).(map[string]any)
			hidden[member] = pick(g, ".", "..", "a\n", "\u0085b", "\x7f")
			way("no path can name "+member, hidden)
		}
		taken := g.body(o, media).(map[string]any)
		taken["id"] = pick(g, "stats", "users", "revoke-all")
		way("another operation's path", taken)
		ancient, dead := g.body(o, media).(map[string]any), g.body(o, media).(map[string]any)
		ancient["created_at"] = pick(g, "1969-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z")
		way("made before 1970", ancient)
		delete(dead, "created_at")
		dead["expires_at"] = "2020-01-15T08:00:00Z"
		way("over when it begins", dead)
		way("made in the future", late)
		way("over before it began", early)
	}
	for _, name := range sorted(schema.Properties) {
		for _, value := range invalidValues(schema.Properties[name].Value) {
			object := g.body(o, media).(map[string]any)
			object[name] = value
			way(name, object)
		}
		if slices.Contains(schema.Required, name) {
			object := g.body(o, media).(map[string]any)
			delete(object, name)
			way("without "+name, object)
		}
	}
	return ways
}

// invalidValues are values that a schema does not allow.
func invalidValues(s *openapi3.Schema) []any {
	options := []*openapi3.Schema{s}
	for _, option := range s.AnyOf {
		options = append(options, option.Value)
	}
	is := func(name string) bool {
		return slices.ContainsFunc(options, func(s *openapi3.Schema) bool { return s.Type.Is(name) })
	}
	values := []any{map[string]any{"a": 1}}
	if !is(openapi3.TypeInteger) {
		values = append(values, 7)
	} else {
		values = append(values, 7.5, -1, 1<<40, "seven")
	}
	if !is(openapi3.TypeNull) {
		values = append(values, nil)
	}
	if !is(openapi3.TypeBoolean) {
		values = append(values, true)
	} else {
		values = append(values, "yes", 1)
	}
	if !is(openapi3.TypeArray) {
		values = append(values, []any{"x"})
	} else {
		values = append(values, "x", []any{"x", nil})
	}
	for _, option := range options {
		switch {
		case option.Format == "date-time":
			// The last two have a year in UTC that no answer could show.
			values = append(values, "tomorrow", "2026-02-30T00:00:00Z", "2026-01-15T25:00:00Z", "",
				"0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00")
		case option.Format == "ipv4":
			values = append(values, "256.1.1.1", "localhost", "1.2.3.4/33", "fe80::1%eth0", "")
		case option.Type.Is(openapi3.TypeString) && option.MaxLength != nil:
			values = append(values, tooLong(option, "ä"))
		}
		if option.MinLength > 0 {
			values = append(values, "")
		}
		if option.Pattern != "" {
			values = append(values, "a\x00b")
		}
	}
	return values
}

// broken makes a request that cannot be read, or that nobody makes. Whatever else is wrong with it does not matter.
func (g *generator) broken(o operation, r *request) bool {
	var ways []func()
	if o.Security == nil {
		for _, header := range []string{"", "Bearer", "Bearer x.y.z", "Basic dTpw", "Bearer " + strings.Repeat("a", 9000)} {
			ways = append(ways, func() {
				r.note = "authorization " + header[:min(len(header), 12)]
				if r.drop("Authorization"); header != "" {
					r.set("Authorization", header)
				}
			})
		}
	}
	if media, required := body(o); media == jsonMedia {
		for _, text := range []string{`{"a":`, `{"user_id": "` + "\xff" + `"}`, `{} {}`, "\x00", `{'a': 1}`, "[" + strings.Repeat("[", 50000), strings.Repeat(" ", 1<<20+1)} {
			ways = append(ways, func() { r.setBody(media, nil); r.body, r.note = text, "not JSON" })
		}
		if required {
			ways = append(ways, func() { r.setBody("text/plain", "x"); r.note = "no JSON" })
		}
	}
	if len(ways) == 0 {
		return false
	}
	pick(g, ways...)()
	return true
}

// odd does something of which the contract does not say whether it is right.
func (g *generator) odd(o operation, r *request) {
	ways := []func(){
		func() { r.set("X-Request-ID", pick(g, "", "a b", "ä", "\t")+strings.Repeat("x", g.IntN(200))) },
		func() { r.set("X-Revoke-Reason", strings.Repeat("ä", g.IntN(400))) },
		func() { r.set("Accept", "text/html"); r.set("Accept-Encoding", "br, gzip;q=0") },
		func() { r.query.Set("unknown", g.text(0, 20)) },
		func() { r.set("Prefer", "handling=strict"); r.query.Set("unknown", g.text(0, 20)) },
		func() { r.path = strings.Replace(r.path, "/api/", "/%61pi/", 1) },
	}
	if strings.HasSuffix(o.path, "}") {
		ways = append(ways, func() { r.path += pick(g, "%00", "%FF", "%C3%28", "%2F", "/", "//", ";a=b") })
	}
	for _, p := range slices.Concat(o.item.Parameters, o.Parameters) {
		name := p.Value.Name
		if p.Value.In == openapi3.ParameterInQuery {
			for _, text := range []string{"\x00", "\xff", "9223372036854775807", "9223372036854775808", " 1", "+1", "1_0", "١", "on", "1.0"} {
				ways = append(ways, func() { r.query.Set(name, text) })
			}
			ways = append(ways, func() { r.query[name] = []string{"1", g.text(0, 5)} })
		}
	}
	if r.hasBody {
		ways = append(ways,
			func() { r.body = strings.Replace(r.body, "{", `{"user_id": "\ud800", "USER_ID": null, `, 1) },
			func() { r.body = "\ufeff" + r.body },
			func() { r.set("Content-Type", r.content()+"; charset=latin1; charset=\"x") },
			func() { r.set("Content-Encoding", "gzip") },
			func() { r.body = r.body[:g.IntN(len(r.body)+1)] },
			func() { r.body = strings.Replace(r.body, ":", ": "+g.text(0, 3), 1) },
		)
	}
	r.note = "odd"
	pick(g, ways...)()
}

func (r *request) content() string {
	for _, header := range r.headers {
		if header[0] == "Content-Type" {
			return header[1]
		}
	}
	return ""
}
