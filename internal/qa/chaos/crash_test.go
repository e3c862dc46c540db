package chaos

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crashRun is a small one: make chaos has the long ones.
func crashRun(t *testing.T) Crash {
	t.Helper()
	return Crash{Binary: sessiond(t), Dir: directory(t), Kills: 4, Writes: 120, Writers: 8, Seed: 1}
}

func TestNothingAcknowledgedIsLost(t *testing.T) {
	for name, change := range map[string]func(*Crash){
		"postgres": func(*Crash) {},
		"sqlite":   func(c *Crash) { c.SQLite = true },
	} {
		t.Run(name, func(t *testing.T) {
			run := crashRun(t)
			change(&run)
			report, err := run.Run(t.Context())
			require.NoError(t, err)
			assert.Empty(t, Head(report.Broken()))
			assert.Equal(t, run.Kills, report.ServerKills+report.PostgresKills)
			assert.GreaterOrEqual(t, report.Acknowledged, run.Kills*run.Writes/2)
			assert.Positive(t, report.Introspected)
			t.Log(report.Text())
		})
	}
}

// TestLossIsNoticed is the control: a commit that does not wait for the disk is lost with the processes that hold it.
func TestLossIsNoticed(t *testing.T) {
	run := crashRun(t)
	run.Settings = []string{"synchronous_commit=off", "wal_writer_delay=10s"}
	report, err := run.Run(t.Context())
	require.NoError(t, err)
	assert.Positive(t, report.PostgresKills)
	assert.NotEmpty(t, report.Lost)
	t.Log(report.Text())
}
