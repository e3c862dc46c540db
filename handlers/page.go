package handlers

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
)

// sessionList is the response of every operation that lists sessions. It is encoded by hand, because it is the most frequent response and
// encoding/json takes more than five times as long (BenchmarkSessionList). The bytes are those of encoding/json.
type sessionList struct {
	items []gen.SessionListItem
	meta  gen.MetaResponse
	// pagination is nil for a list that has no pages.
	pagination *gen.PaginationMeta
	// more: such a list leaves out sessions.
	more bool
}

// HasMoreHeader is in the answer of a list without pages that leaves out sessions.
const HasMoreHeader = "X-Has-More"

var (
	_ gen.ListSessionsResponseObject       = sessionList{}
	_ gen.ListMySessionsResponseObject     = sessionList{}
	_ gen.ListTenantSessionsResponseObject = sessionList{}
	_ gen.ListUserSessionsResponseObject   = sessionList{}
)

// VisitListSessionsResponse writes the answer to the platform's list.
func (l sessionList) VisitListSessionsResponse(w http.ResponseWriter) error { return l.write(w) }

// VisitListMySessionsResponse writes the answer to a user's own list.
func (l sessionList) VisitListMySessionsResponse(w http.ResponseWriter) error { return l.write(w) }

// VisitListTenantSessionsResponse writes the answer to a tenant's list.
func (l sessionList) VisitListTenantSessionsResponse(w http.ResponseWriter) error { return l.write(w) }

// VisitListUserSessionsResponse writes the answer to the list of a tenant's user.
func (l sessionList) VisitListUserSessionsResponse(w http.ResponseWriter) error { return l.write(w) }

func (l sessionList) write(w http.ResponseWriter) error {
	body := l.append(make([]byte, 0, 256+512*len(l.items)))
	w.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	w.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body))) // or it would be sent in chunks, the last one by itself
	if l.more {
		w.Header().Set(HasMoreHeader, "true")
	}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(body)
	return err
}

func (l sessionList) append(b []byte) []byte {
	b = append(b, `{"data":[`...)
	for i := range l.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendItem(b, &l.items[i])
	}
	b = append(b, ']')
	if p := l.pagination; p != nil {
		b = append(b, `,"pagination":{"page":`...)
		b = strconv.AppendInt(b, int64(p.Page), 10)
		b = append(b, `,"per_page":`...)
		b = strconv.AppendInt(b, int64(p.PerPage), 10)
		b = append(b, `,"total_items":`...)
		b = strconv.AppendInt(b, int64(p.TotalItems), 10)
		b = append(b, `,"total_pages":`...)
		b = strconv.AppendInt(b, int64(p.TotalPages), 10)
		b = append(b, '}')
	}
	return append(appendMeta(append(b, ','), &l.meta), '}', '\n')
}

func appendItem(b []byte, item *gen.SessionListItem) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, &item.Id)
	b = append(b, `,"user_id":`...)
	b = appendText(b, &item.UserId)
	b = append(b, `,"user_email":`...)
	b = appendText(b, item.UserEmail)
	b = append(b, `,"ip_address":`...)
	b = appendText(b, item.IpAddress)
	b = append(b, `,"user_agent":`...)
	b = appendText(b, item.UserAgent)
	b = append(b, `,"device_type":`...)
	b = appendText(b, item.DeviceType)
	b = append(b, `,"is_current":`...)
	b = strconv.AppendBool(b, item.IsCurrent)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, &item.CreatedAt)
	b = append(b, `,"last_activity_at":`...)
	b = appendTime(b, item.LastActivityAt)
	b = append(b, `,"expires_at":`...)
	b = appendTime(b, &item.ExpiresAt)
	b = append(b, `,"app_count":`...)
	b = strconv.AppendInt(b, int64(item.AppCount), 10)
	return append(b, '}')
}

// appendText appends a text, or null. One with anything in it that may have to be escaped is left to encoding/json.
func appendText(b []byte, text *string) []byte {
	if text == nil {
		return append(b, "null"...)
	}
	for _, c := range []byte(*text) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, _ := json.Marshal(*text) // of a text it does not fail
			return append(b, escaped...)
		}
	}
	b = append(b, '"')
	b = append(b, *text...)
	return append(b, '"')
}

// appendTime appends a time, or null.
func appendTime(b []byte, at *gen.Timestamp) []byte {
	if at == nil {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = at.Append(b)
	return append(b, '"')
}
