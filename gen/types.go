// Package gen is what oapi-codegen makes of openapi.yaml, in api.gen.go, and the types that it cannot make, in types.go:
// what the contract leaves open or declares more loosely than its descriptions say. oapi-codegen.overlay.yaml names them
// where the generated code uses them.
package gen

import (
	"errors"
	"time"
)

// Timestamp is a time of an answer. As JSON it is in UTC, RFC 3339 with Z, and has always six digits after the second, so
// that times have one length and are in order as text. encoding/json alone would leave out zeros at the end.
type Timestamp struct{ time.Time }

const microsecondDigits = 6

// Append appends the time as it is written in an answer, without quotes. Its year must have four digits.
func (t Timestamp) Append(b []byte) []byte {
	utc := t.UTC()
	b = utc.AppendFormat(b, time.RFC3339)
	b[len(b)-1] = '.' // for the Z, which comes after the digits
	micros := utc.Nanosecond() / int(time.Microsecond)
	var digits [microsecondDigits]byte
	for i := range digits {
		digits[microsecondDigits-1-i] = byte('0' + micros%10)
		micros /= 10
	}
	b = append(b, digits[:]...)
	return append(b, 'Z')
}

// MarshalJSON writes the time as a string. It fails, as that of time.Time does, for a year that has not four digits.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, len(`"2006-01-02T15:04:05.000000Z"`)), '"')
	text, err := t.AppendText(text)
	return append(text, '"'), err
}

// MarshalText writes the time without quotes.
func (t Timestamp) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// AppendText is MarshalText that appends.
func (t Timestamp) AppendText(b []byte) ([]byte, error) {
	if year := t.UTC().Year(); year < 0 || year > 9999 {
		return b, errors.New("gen.Timestamp: year outside of range [0,9999]")
	}
	return t.Append(b), nil
}

// SessionList is a list of sessions without pages.
type SessionList struct {
	Data []SessionListItem `json:"data"`
	Meta MetaResponse      `json:"meta"`
}

// TenantSessionStats is the data of a tenant's statistics, which the contract declares as just an object and describes in
// words.
type TenantSessionStats struct {
	TotalSessions        int                  `json:"total_sessions"`
	ActiveSessions       int                  `json:"active_sessions"`
	ExpiredSessions      int                  `json:"expired_sessions"`
	RevokedSessions      int                  `json:"revoked_sessions"`
	UniqueUsers          int                  `json:"unique_users"`
	SessionsByDeviceType SessionsByDeviceType `json:"sessions_by_device_type"`
	TopApplications      []ApplicationUse     `json:"top_applications"`
	CreatedLast24h       int                  `json:"created_last_24h"`
	RevokedLast24h       int                  `json:"revoked_last_24h"`
	AsOf                 Timestamp            `json:"as_of"`
}

// SessionsByDeviceType counts active sessions.
type SessionsByDeviceType struct {
	Desktop int `json:"desktop"`
	Mobile  int `json:"mobile"`
	Tablet  int `json:"tablet"`
	Bot     int `json:"bot"`
	Other   int `json:"other"`
}

// ApplicationUse says in how many active sessions an application was reached.
type ApplicationUse struct {
	ApplicationID   string `json:"application_id"`
	ApplicationName string `json:"application_name"`
	Sessions        int    `json:"sessions"`
}
