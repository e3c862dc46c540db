// Package corpus has recorded requests with the answers that the reference gave, and judges other answers by them. Only
// tests import it.
package corpus

import (
	"bufio"
	"bytes"
	_ "embed" // the recorded requests
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

//go:embed requests.jsonl
var requests []byte

// Case is one request that the reference was asked, and its answer.
type Case struct {
	ID     string `json:"id"`
	Family string `json:"family"`
	// Tier is "contract", where the answer must agree, or "curio", where only Python's own dialect decides: there any 4xx
	// will do, but no 5xx, and no success where the reference refuses.
	Tier    string      `json:"tier"`
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"`
	// Auth is "as_is" when no token is to be added.
	Auth    string  `json:"auth"`
	Text    *string `json:"body"`
	BodyB64 string  `json:"body_b64"`
	Expect  struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		// Body is what the reference answered, with its members in their order; a success has placeholders.
		Body   json.RawMessage `json:"body"`
		Detail json.RawMessage `json:"detail_spec"`
		// MayRefuse allows a 422 about an instruction that names no sessions.
		MayRefuse string `json:"may_refuse"`
	} `json:"expect"`
}

// Read returns every recorded request.
func Read() ([]Case, error) {
	var cases []Case
	lines := bufio.NewScanner(bytes.NewReader(requests))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("recorded request %d: %w", len(cases)+1, err)
		}
		cases = append(cases, c)
	}
	return cases, lines.Err()
}

// Body returns the request's body, nil when it has none at all.
func (c Case) Body() ([]byte, error) {
	switch {
	case c.BodyB64 != "":
		return base64.StdEncoding.DecodeString(c.BodyB64)
	case c.Text != nil:
		return []byte(*c.Text), nil
	default:
		return nil, nil
	}
}

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Judge says what is wrong with an answer, "" when nothing is.
func (c Case) Judge(got Answer) string {
	want := c.Expect.Status
	switch {
	case got.Status >= http.StatusInternalServerError:
		return fmt.Sprintf("answered %d, expected %d", got.Status, want)
	case c.Tier == "curio":
		refused := got.Status >= 400 || got.Status >= 300 && want >= 300 && want < 400
		return unless(got.Status == want || refused, "answered %d to a request that is refused with %d", got.Status, want)
	case want < 300:
		tooStrict := got.Status == http.StatusUnprocessableEntity && (c.Expect.MayRefuse == "" || !refusesInstruction(got.Body))
		return unless(!tooStrict, "answered 422, expected %d: %s", want, got.Body)
	case got.Status != want:
		return fmt.Sprintf("answered %d, expected %d: %s", got.Status, want, got.Body)
	}
	switch want {
	case http.StatusUnprocessableEntity:
		return c.judgeDetail(got)
	case http.StatusMethodNotAllowed:
		allow := strings.Split(got.Header.Get("Allow"), ", ")
		return unless(slices.Contains(allow, c.Expect.Headers["allow"]), "Allow is %v, expected %s", allow, c.Expect.Headers["allow"])
	case http.StatusTemporaryRedirect:
		to, from := pathOf(got.Header.Get("Location")), pathOf(c.Expect.Headers["location"])
		return unless(to == from, "Location is %q, expected %q", to, from)
	default:
		return ""
	}
}

func unless(fine bool, format string, args ...any) string {
	if fine {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// judgeDetail: the media type, and exactly the expected entries in their order.
func (c Case) judgeDetail(got Answer) string {
	if media, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";"); media != "application/json" {
		return "422 as " + media
	}
	var have, want any
	if err := json.Unmarshal(got.Body, &have); err != nil {
		return "422 that is no JSON: " + err.Error()
	}
	if err := json.Unmarshal([]byte(`{"detail":`+string(c.Expect.Detail)+`}`), &want); err != nil {
		return "broken case: " + err.Error()
	}
	return unless(reflect.DeepEqual(have, want), "422 with %s, expected %s", got.Body, c.Expect.Detail)
}

// refusesInstruction reports whether every entry is about an instruction that names no sessions.
func refusesInstruction(body []byte) bool {
	var answer struct {
		Detail []struct {
			Loc  []any
			Type string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Detail) == 0 {
		return false
	}
	for _, entry := range answer.Detail {
		about := len(entry.Loc) == 2 && (entry.Loc[1] == "user_id" || entry.Loc[1] == "tenant_id")
		if entry.Type != "value_error" && !about {
			return false
		}
	}
	return true
}

func pathOf(location string) string {
	parsed, err := url.Parse(location)
	if err != nil {
		return location
	}
	return parsed.Path
}
