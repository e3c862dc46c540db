package handlers

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/sessiond/sessiond/gen"
)

// sessionAnswer is the response of every operation that answers with one session. It is encoded by hand, like a sessionList, and with
// the bytes of encoding/json.
type sessionAnswer struct {
	status int
	body   gen.ApiResponseSessionResponse
}

var (
	_ gen.GetSessionResponseObject       = sessionAnswer{}
	_ gen.GetTenantSessionResponseObject = sessionAnswer{}
	_ gen.RegisterSessionResponseObject  = sessionAnswer{}
)

// VisitGetSessionResponse writes the platform's answer.
func (a sessionAnswer) VisitGetSessionResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitGetTenantSessionResponse writes a tenant's answer.
func (a sessionAnswer) VisitGetTenantSessionResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitRegisterSessionResponse writes the answer to a registration.
func (a sessionAnswer) VisitRegisterSessionResponse(w http.ResponseWriter) error { return a.write(w) }

func (a sessionAnswer) write(w http.ResponseWriter) error {
	body := a.append(make([]byte, 0, 1024))
	w.Header()[echo.HeaderContentType] = []string{echo.MIMEApplicationJSON}
	w.Header()[echo.HeaderContentLength] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(a.status)
	_, err := w.Write(body)
	return err
}

func (a sessionAnswer) append(b []byte) []byte {
	s := &a.body.Data
	b = append(b, `{"data":{"id":`...)
	b = appendText(b, &s.Id)
	b = append(b, `,"user_id":`...)
	b = appendText(b, &s.UserId)
	b = append(b, `,"user_email":`...)
	b = appendText(b, s.UserEmail)
	b = append(b, `,"user_display_name":`...)
	b = appendText(b, s.UserDisplayName)
	b = append(b, `,"ip_address":`...)
	b = appendText(b, s.IpAddress)
	b = append(b, `,"user_agent":`...)
	b = appendText(b, s.UserAgent)
	b = append(b, `,"device_type":`...)
	b = appendText(b, s.DeviceType)
	b = append(b, `,"location":`...)
	b = appendText(b, s.Location)
	b = append(b, `,"is_current":`...)
	b = strconv.AppendBool(b, s.IsCurrent)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, &s.CreatedAt)
	b = append(b, `,"last_activity_at":`...)
	b = appendTime(b, s.LastActivityAt)
	b = append(b, `,"expires_at":`...)
	b = appendTime(b, &s.ExpiresAt)
	b = append(b, `,"sso_apps":[`...)
	for i := range s.SsoApps {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendApp(b, &s.SsoApps[i])
	}
	b = append(b, `]},`...)
	return append(appendMeta(b, &a.body.Meta), '}', '\n')
}

func appendApp(b []byte, app *gen.SessionAppInfo) []byte {
	b = append(b, `{"application_id":`...)
	b = appendText(b, &app.ApplicationId)
	b = append(b, `,"application_name":`...)
	b = appendText(b, &app.ApplicationName)
	b = append(b, `,"accessed_at":`...)
	b = appendTime(b, &app.AccessedAt)
	return append(b, '}')
}

// appendMeta appends the member meta of an answer.
func appendMeta(b []byte, meta *gen.MetaResponse) []byte {
	b = append(b, `"meta":{"request_id":`...)
	b = appendText(b, meta.RequestId)
	b = append(b, `,"timestamp":`...)
	b = appendTime(b, &meta.Timestamp)
	return append(b, '}')
}
