package apifuzz_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sessiond/sessiond/internal/qa/apifuzz"
)

func TestMain(m *testing.M) {
	// GORM's cache of prepared statements never ends its goroutine.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))
}

func run(t *testing.T, requests int) apifuzz.Fuzz {
	t.Helper()
	fuzz, stop, err := apifuzz.OnSQLite(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	fuzz.Requests, fuzz.Seed = requests, 7
	return fuzz
}

func TestEveryAnswerFitsTheContract(t *testing.T) {
	report, err := run(t, 8000).Run()
	require.NoError(t, err)
	assert.Empty(t, strings.Join(report.Failures[:min(10, len(report.Failures))], "\n\n"))
	assert.Len(t, report.Operations(), 30)
	for _, operation := range report.Operations() {
		if operation != "backchannelLogout" { // whose tokens only an identity provider makes
			assert.Positive(t, report.Count(operation, "good", "2"), operation)
			assert.Positive(t, report.Count(operation, "broken", "4"), operation)
		}
	}
	t.Log(report.Text())
}

// TestFailuresAreNoticed is the control: servers that are wrong in one way each.
func TestFailuresAreNoticed(t *testing.T) {
	fuzz := run(t, 200)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"an error":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "an error of the server"},
		"an undeclared status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, "status 418 is not declared"},
		"an undeclared type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("{}"))
		}, `content type "text/html" is not declared`},
		"a wrong body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Request-Id", "1")
			_, _ = w.Write([]byte(`{"active": "yes", "data": 1}`))
		}, "response body doesn't match schema"},
		"an undeclared header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Powered-By", "1")
			_, _ = w.Write([]byte(`{}`))
		}, "header X-Powered-By is not declared"},
		"anything is good":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }, "an invalid request is not refused as one"},
		"broken is good":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }, "a broken request is not refused"},
		"anything is invalid": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }, "a good request is refused as invalid"},
		"without an id": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{}`))
		}, "header X-Request-ID is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			fuzz.Handler = c.answer
			report, err := fuzz.Run()
			require.NoError(t, err)
			assert.Contains(t, strings.Join(report.Failures, "\n"), c.says)
		})
	}
}
