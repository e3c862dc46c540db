package e2e_test

import (
	"bytes"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond"
	"github.com/sessiond/sessiond/internal/qa/apifuzz"
)

// TestAnswersFitByAnotherValidator holds exchanges with every operation against both documents, by a validator that shares no code with ours.
func TestAnswersFitByAnotherValidator(t *testing.T) {
	fuzz, stop, err := apifuzz.OnSQLite(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	judges := map[string]validator.Validator{"openapi.yaml": judge(t, sessiond.OpenAPI), "openapi.sdk.yaml": judge(t, sessiond.OpenAPIForSDKs)}
	judged, served := 0, fuzz.Handler
	fuzz.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder, escaped := httptest.NewRecorder(), r.URL.RawPath != ""
		served.ServeHTTP(recorder, r)
		// Its router decodes a path before it looks for the segments.
		if !escaped && (recorder.Code < http.StatusMovedPermanently || recorder.Code == http.StatusUnprocessableEntity) {
			judged++
			for name, judge := range judges {
				if fits, problems := judge.ValidateHttpResponse(r, answerOf(recorder)); !fits { //nolint:bodyclose // it is in memory
					assert.Fail(t, name, "%s %s → %d %s: %v", r.Method, r.URL, recorder.Code, recorder.Body, problems[0])
				}
			}
		}
		copyAnswer(w, recorder)
	})
	fuzz.Requests, fuzz.Seed = 1500, 9
	report, err := fuzz.Run()
	require.NoError(t, err)
	assert.Empty(t, strings.Join(report.Failures, "\n"))
	assert.Greater(t, judged, 400)
	t.Logf("%d exchanges of %d operations", judged, len(report.Operations()))

	wrong := httptest.NewRecorder()
	wrong.Header().Set("Content-Type", "application/json")
	_, _ = wrong.WriteString(`{"data": [], "meta": {"timestamp": 7}}`)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/me/devices", http.NoBody)
	for name, judge := range judges {
		fits, _ := judge.ValidateHttpResponse(request, answerOf(wrong)) //nolint:bodyclose // as above
		assert.False(t, fits, "the control, by %s", name)
	}
}

func judge(t *testing.T, text []byte) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument(text)
	require.NoError(t, err)
	v, problems := validator.NewValidator(document)
	require.Empty(t, problems)
	valid, faults := v.ValidateDocument()
	require.True(t, valid, faults)
	return v
}

func answerOf(recorder *httptest.ResponseRecorder) *http.Response {
	again := *recorder
	again.Body = bytes.NewBuffer(bytes.Clone(recorder.Body.Bytes()))
	return again.Result()
}

func copyAnswer(w http.ResponseWriter, recorder *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), recorder.Header())
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}
