package handlers

import (
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/gen"
)

// TestSessionListIsWhatEncodingJSONWrites holds what is written by hand against encoding/json, byte for byte.
func TestSessionListIsWhatEncodingJSONWrites(t *testing.T) {
	text, instant := texts(), instants()
	item := rapid.Custom(func(t *rapid.T) gen.SessionListItem {
		return gen.SessionListItem{
			AppCount: rapid.Int().Draw(t, "apps"), CreatedAt: instant.Draw(t, "created"), ExpiresAt: instant.Draw(t, "expires"),
			DeviceType: rapid.Ptr(text, true).Draw(t, "device"), Id: text.Draw(t, "id"), UserId: text.Draw(t, "user"),
			IpAddress: rapid.Ptr(text, true).Draw(t, "address"), IsCurrent: rapid.Bool().Draw(t, "current"),
			LastActivityAt: rapid.Ptr(instant, true).Draw(t, "used"), UserAgent: rapid.Ptr(text, true).Draw(t, "agent"),
			UserEmail: rapid.Ptr(text, true).Draw(t, "email"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		page := gen.PaginatedResponseSessionListItem{
			Data: append([]gen.SessionListItem{}, rapid.SliceOfN(item, 0, 3).Draw(t, "items")...),
			Meta: gen.MetaResponse{RequestId: rapid.Ptr(text, true).Draw(t, "request"), Timestamp: instant.Draw(t, "now")},
			Pagination: gen.PaginationMeta{
				Page: rapid.Int().Draw(t, "page"), PerPage: rapid.Int().Draw(t, "per page"),
				TotalItems: rapid.Int().Draw(t, "total"), TotalPages: rapid.Int().Draw(t, "pages"),
			},
		}
		paged, plain := httptest.NewRecorder(), httptest.NewRecorder()
		require.NoError(t, gen.ListTenantSessions200JSONResponse{Body: page}.VisitListTenantSessionsResponse(paged))
		require.Equal(t, paged.Body.String(), string(sessionList{items: page.Data, meta: page.Meta, pagination: &page.Pagination}.append(nil)))
		body := gen.SessionList{Data: page.Data, Meta: page.Meta}
		require.NoError(t, gen.ListMySessions200JSONResponse{Body: body}.VisitListMySessionsResponse(plain))
		answer := httptest.NewRecorder()
		require.NoError(t, sessionList{items: page.Data, meta: page.Meta}.VisitListMySessionsResponse(answer))
		require.Equal(t, plain.Body.String(), answer.Body.String())
		want := plain.Header().Clone()
		want.Set("Content-Length", strconv.Itoa(plain.Body.Len()))
		require.Equal(t, want, answer.Header())
	})
}

// TestSessionAnswerIsWhatEncodingJSONWrites: likewise, with and without applications.
func TestSessionAnswerIsWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, instant := texts(), instants()
		app := rapid.Custom(func(t *rapid.T) gen.SessionAppInfo {
			return gen.SessionAppInfo{ApplicationId: text.Draw(t, "app"), ApplicationName: text.Draw(t, "name"), AccessedAt: instant.Draw(t, "accessed")}
		})
		body := gen.ApiResponseSessionResponse{
			Data: gen.SessionResponse{
				Id: text.Draw(t, "id"), UserId: text.Draw(t, "user"), UserEmail: rapid.Ptr(text, true).Draw(t, "email"),
				UserDisplayName: rapid.Ptr(text, true).Draw(t, "display name"), IpAddress: rapid.Ptr(text, true).Draw(t, "address"),
				UserAgent: rapid.Ptr(text, true).Draw(t, "agent"), DeviceType: rapid.Ptr(text, true).Draw(t, "device"),
				Location: rapid.Ptr(text, true).Draw(t, "location"), IsCurrent: rapid.Bool().Draw(t, "current"),
				CreatedAt: instant.Draw(t, "created"), LastActivityAt: rapid.Ptr(instant, true).Draw(t, "used"), ExpiresAt: instant.Draw(t, "expires"),
				SsoApps: append([]gen.SessionAppInfo{}, rapid.SliceOfN(app, 0, 3).Draw(t, "apps")...),
			},
			Meta: gen.MetaResponse{RequestId: rapid.Ptr(text, true).Draw(t, "request"), Timestamp: instant.Draw(t, "now")},
		}
		for status, plain := range map[int]gen.RegisterSessionResponseObject{
			200: gen.RegisterSession200JSONResponse{Body: body}, 201: gen.RegisterSession201JSONResponse{Body: body},
		} {
			want, got := httptest.NewRecorder(), httptest.NewRecorder()
			require.NoError(t, plain.VisitRegisterSessionResponse(want))
			require.NoError(t, sessionAnswer{status, body}.VisitRegisterSessionResponse(got))
			require.Equal(t, want.Body.String(), got.Body.String())
			require.Equal(t, want.Code, got.Code)
			header := want.Header().Clone()
			header.Set("Content-Length", strconv.Itoa(want.Body.Len()))
			require.Equal(t, header, got.Header())
		}
	})
}

// texts are all that may have to be escaped, and what need not be.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,20}`), rapid.SampledFrom([]string{
		"", "\"\\/<>&", "\u2028\u2029", "\x00\x1f\x7f", "\xff\xfe", "é", "a\tb\nc", "😀",
	}))
}

func instants() *rapid.Generator[gen.Timestamp] {
	return rapid.Custom(func(t *rapid.T) gen.Timestamp {
		micros := rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000)
		return gen.Timestamp{Time: time.UnixMicro(micros.Draw(t, "micros")).UTC()}
	})
}

func BenchmarkSessionList(b *testing.B) {
	agent, email, address := "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "ada@acme.example", "203.0.113.7"
	now, id := gen.Timestamp{Time: time.Date(2026, 1, 15, 12, 0, 0, 123456000, time.UTC)}, "request"
	page := gen.PaginatedResponseSessionListItem{Meta: gen.MetaResponse{RequestId: &id, Timestamp: now}}
	for range 20 {
		page.Data = append(page.Data, gen.SessionListItem{
			Id: "0199c0de-0000-7000-8000-000000000000", UserId: "ada", UserAgent: &agent, UserEmail: &email, IpAddress: &address,
			DeviceType: &id, CreatedAt: now, ExpiresAt: now, LastActivityAt: &now,
		})
	}
	b.Run("by hand", func(b *testing.B) {
		for b.Loop() {
			_ = sessionList{items: page.Data, meta: page.Meta, pagination: &page.Pagination}.append(make([]byte, 0, 16<<10))
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			_, _ = json.Marshal(page)
		}
	})
}
