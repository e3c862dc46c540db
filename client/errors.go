package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sessiond/sessiond/internal/sanitize"
)

// maxErrorBody is how much of an error's body is read: more than the server sends.
const maxErrorBody = 1 << 20

// Error is an answer that is no success.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Detail is the server's sentence about it. Something else that answered, a proxy perhaps, is described instead.
	Detail string
	// RequestID names the request in the server's log and audit log; empty when the answer names none.
	RequestID string
	// RetryAfter is how long to wait before the next try; 0 when the server does not say.
	RetryAfter time.Duration
}

// Error is one line that is safe to show: control characters are escaped.
func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %s%s", e.Status, http.StatusText(e.Status), sanitize.Text(e.Detail), e.request())
}

func (e *Error) request() string {
	if e.RequestID == "" {
		return ""
	}
	return " (request " + sanitize.Text(e.RequestID) + ")"
}

// ValidationError is a request that does not fit the contract: 422. It is an [Error] too.
type ValidationError struct {
	// Answer is the answer as for every other error.
	Answer Error
	// Entries are all violations, in the server's order.
	Entries []Entry
}

// Entry is one violation of the contract.
type Entry struct {
	// Loc leads to the value: "path", "query", "header" or "body", then names (string) and list positions (int).
	Loc []any
	// Msg is a sentence for people.
	Msg string
	// Type is the name of the violation for programs, such as "missing" or "less_than_equal".
	Type string
}

// Field is Loc as text: "query.per_page", "body.session_ids[2]".
func (e Entry) Field() string {
	var text strings.Builder
	for i, step := range e.Loc {
		switch position, ok := step.(int); {
		case ok:
			fmt.Fprintf(&text, "[%d]", position)
		case i > 0:
			fmt.Fprintf(&text, ".%v", step)
		default:
			fmt.Fprint(&text, step)
		}
	}
	return text.String()
}

// Error is one line with every field and what is wrong with it.
func (e *ValidationError) Error() string {
	violations := make([]string, len(e.Entries))
	for i, entry := range e.Entries {
		violations[i] = sanitize.Text(entry.Field() + ": " + entry.Msg)
	}
	return "the request does not fit: " + strings.Join(violations, "; ") + e.Answer.request()
}

// Unwrap returns the general error, for callers that need only its status.
func (e *ValidationError) Unwrap() error { return &e.Answer }

// errorOf reads and closes an answer that is no success, and what only looks like one: a page of something in between.
func errorOf(response *http.Response) error {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")) // an unreadable one is not JSON either
	if success := response.StatusCode/100 == 2; success && (kind == "application/json" || response.ContentLength == 0 || kind == askedFor(response)) {
		return nil
	}
	defer response.Body.Close()
	answer := Error{
		Status: response.StatusCode, RequestID: response.Header.Get("X-Request-ID"), RetryAfter: retryAfter(response.Header),
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err != nil {
		return fmt.Errorf("%d %s: %w", answer.Status, http.StatusText(answer.Status), err)
	}
	var body struct {
		Detail json.RawMessage `json:"detail"`
	}
	_ = json.Unmarshal(text, &body) // a body that is no JSON has no detail, which the next lines tell
	if entries := entriesOf(body.Detail); answer.Status == http.StatusUnprocessableEntity && entries != nil {
		answer.Detail = "The request does not fit the contract."
		return &ValidationError{Answer: answer, Entries: entries}
	}
	if json.Unmarshal(body.Detail, &answer.Detail) != nil || answer.Detail == "" {
		answer.Detail = stranger(response, kind)
	}
	return &answer
}

// askedFor is the media type that the request asked for, "" for none.
func askedFor(response *http.Response) string {
	if response.Request == nil {
		return ""
	}
	kind, _, _ := mime.ParseMediaType(response.Request.Header.Get("Accept")) // an unreadable one is none
	return kind
}

// stranger describes an answer that the API does not give.
func stranger(response *http.Response, kind string) string {
	if to := response.Header.Get("Location"); to != "" && response.StatusCode/100 == 3 {
		return "redirected to " + to + ", use that server's address"
	}
	if kind == "" {
		kind = "text"
	}
	return "the answer is " + kind + " and not the API's, check the server's address"
}

// entriesOf reads the detail of a 422; nil when it is no list of violations.
func entriesOf(detail json.RawMessage) []Entry {
	var entries []Entry
	if json.Unmarshal(detail, &entries) != nil {
		return nil
	}
	for _, entry := range entries {
		for i, step := range entry.Loc {
			if position, ok := step.(float64); ok {
				entry.Loc[i] = int(position)
			}
		}
	}
	return entries
}

// retryAfter reads Retry-After, in seconds or as a date (RFC 9110, section 10.2.3). A date counts from the answer's own,
// so that the caller's clock does not matter.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return max(at.Sub(now), 0)
}
