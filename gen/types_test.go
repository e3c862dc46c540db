package gen_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sessiond/sessiond/gen"
)

func TestTimestamp(t *testing.T) {
	bern := time.FixedZone("", 3600)
	for want, at := range map[string]time.Time{
		"2026-01-15T08:00:00.000000Z": time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC),
		"2026-01-15T07:00:00.250000Z": time.Date(2026, 1, 15, 8, 0, 0, 250e6, bern),
		"2026-01-15T08:00:00.000001Z": time.Date(2026, 1, 15, 8, 0, 0, 1999, time.UTC),
		"0001-01-01T00:00:00.000000Z": {},
		"9999-12-31T23:59:59.999999Z": time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		data, err := json.Marshal(map[string]any{"at": gen.Timestamp{Time: at}, "again": &gen.Timestamp{Time: at}})
		require.NoError(t, err)
		assert.JSONEq(t, `{"at":"`+want+`","again":"`+want+`"}`, string(data))
		text, err := gen.Timestamp{Time: at}.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
	}
	for _, year := range []int{-1, 10000} {
		_, err := json.Marshal(gen.Timestamp{Time: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)})
		require.ErrorContains(t, err, "year outside of range")
		_, err = gen.Timestamp{Time: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}.MarshalText()
		require.ErrorContains(t, err, "year outside of range")
	}
	require.Error(t, json.Unmarshal([]byte(`"yesterday"`), &gen.Timestamp{}))
}

func TestTimestampIsReadAsItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "micros")).UTC()
		data, err := json.Marshal(gen.Timestamp{Time: at})
		require.NoError(t, err)
		require.Equal(t, at.Format(`"2006-01-02T15:04:05.000000Z"`), string(data))
		var back gen.Timestamp
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, at, back.Time)
	})
}
