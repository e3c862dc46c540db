package handlers

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gone is the connection of a client that has gone away.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestAnswersThatAreNotWhole: whoever reads the log must see which answers did not arrive, and nothing may follow their part.
func TestAnswersThatAreNotWhole(t *testing.T) {
	handle := func(writer http.ResponseWriter, before func(echo.Context)) string {
		var logs bytes.Buffer
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		c := echo.New().NewContext(request, writer)
		before(c)
		errorHandler{slog.New(slog.NewTextHandler(&logs, nil))}.handle(echo.ErrNotFound, c)
		return logs.String()
	}
	line := handle(gone{httptest.NewRecorder()}, func(echo.Context) {})
	assert.Contains(t, line, `level=WARN msg="the answer could not be written" error="broken pipe" request_id=`)

	recorder := httptest.NewRecorder()
	line = handle(recorder, func(c echo.Context) { require.NoError(t, c.String(http.StatusOK, "a part")) })
	assert.Contains(t, line, `level=ERROR msg="the answer broke off" error="code=404, message=Not Found" request_id=`)
	assert.Equal(t, "a part", recorder.Body.String())
}
