package apifuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// judge holds answers against the contract.
type judge struct{ document *openapi3.T }

// judge returns what is wrong with an answer.
func (j judge) judge(o operation, k kind, r *request, answer *httptest.ResponseRecorder) error {
	if err := expected(o, k, r, answer.Code); err != nil {
		return err
	}
	if elsewhere(answer) && k != good {
		return nil // the path of another operation or of none
	}
	return errors.Join(j.declared(o, r, answer), j.described(o, answer))
}

// expected holds a status against what the request was.
func expected(o operation, k kind, r *request, status int) error {
	switch {
	case k == invalid && status == http.StatusNotFound && strings.Contains(r.path, "%2F"):
		return nil // where nobody has an id with a slash, there is no such path, whatever else is wrong
	case status >= http.StatusInternalServerError:
		return errors.New("an error of the server")
	case k == good && status == http.StatusUnprocessableEntity:
		return errors.New("a good request is refused as invalid")
	case k == good && status == http.StatusBadRequest && o.OperationID != "backchannelLogout":
		return errors.New("a good request cannot be read")
	case k == good && status == http.StatusForbidden:
		return errors.New("a good request is forbidden")
	case k == invalid && o.OperationID == "introspectToken" && status == http.StatusBadRequest:
		return nil // as OAuth says it
	case k == invalid && status != http.StatusUnprocessableEntity && status != http.StatusUnauthorized:
		return errors.New("an invalid request is not refused as one")
	case k == broken && (status < 400 || status >= 500):
		return errors.New("a broken request is not refused")
	default:
		return nil
	}
}

// elsewhere: the path has become another one.
func elsewhere(answer *httptest.ResponseRecorder) bool {
	return answer.Code == http.StatusTemporaryRedirect || answer.Code == http.StatusMethodNotAllowed ||
		answer.Code == http.StatusNotFound && bytes.Contains(answer.Body.Bytes(), []byte(`"Not Found"`))
}

// declared: status, content type, headers and body are what the contract says of the operation.
func (j judge) declared(o operation, r *request, answer *httptest.ResponseRecorder) error {
	response := o.Responses.Status(answer.Code)
	if response == nil {
		return fmt.Errorf("status %d is not declared", answer.Code)
	}
	media, _, err := mime.ParseMediaType(answer.Header().Get("Content-Type"))
	if answer.Body.Len() > 0 && (err != nil || response.Value.Content[media] == nil) {
		return fmt.Errorf("content type %q is not declared", answer.Header().Get("Content-Type"))
	}
	if answer.Body.Len() == 0 && len(response.Value.Content) > 0 {
		return errors.New("the body is missing")
	}
	usual := []string{
		"Content-Type", "Content-Length", "Cache-Control", "Vary", "X-Content-Type-Options", "Content-Security-Policy",
		"Referrer-Policy", "Strict-Transport-Security", "X-Frame-Options", "Date", "Preference-Applied",
	}
	for name := range answer.Header() {
		if !slices.Contains(usual, name) && !slices.ContainsFunc(headers(response.Value), func(declared string) bool { return declared == name }) {
			return fmt.Errorf("header %s is not declared", name)
		}
	}
	if answer.Header().Get("X-Request-Id") == "" {
		return errors.New("header X-Request-ID is missing")
	}
	if answer.Code == http.StatusUnauthorized && answer.Header().Get("WWW-Authenticate") == "" {
		return errors.New("header WWW-Authenticate is missing")
	}
	request, err := http.NewRequestWithContext(context.Background(), r.method, "/", nil) //nolint:forbidigo // it is not sent
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: &routers.Route{
			Spec: j.document, Path: o.path, PathItem: o.item, Method: o.method, Operation: o.Operation,
		}},
		Status: answer.Code, Header: answer.Header(), Body: io.NopCloser(bytes.NewReader(answer.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

func headers(response *openapi3.Response) []string {
	var names []string
	for name := range response.Headers {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	return names
}

// described: where the declared schema allows anything, the description names the one that holds.
func (j judge) described(o operation, answer *httptest.ResponseRecorder) error {
	named := regexp.MustCompile("answer is an?\\s+`(\\w+)`").FindStringSubmatch(o.Description)
	if answer.Code != http.StatusOK || named == nil {
		return nil
	}
	schema := j.document.Components.Schemas[named[1]]
	if schema == nil {
		return fmt.Errorf("the description names %s, and there is no such schema", named[1])
	}
	var value any
	if err := json.Unmarshal(answer.Body.Bytes(), &value); err != nil {
		return err
	}
	return schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
}
