package chaos

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func historyRun(t *testing.T) History {
	t.Helper()
	return History{Binary: sessiond(t), Dir: directory(t), Rounds: 10, Clients: 6, Steps: 15, Sessions: 3, Seed: 1}
}

func TestTwoInstancesAreOne(t *testing.T) {
	report, err := historyRun(t).Run(t.Context())
	require.NoError(t, err)
	assert.Empty(t, Head(report.Illegal))
	assert.Empty(t, report.Undecided)
	assert.Greater(t, report.Operations, 400)
	assert.Positive(t, report.Pauses)
	assert.Positive(t, report.Kills)
	t.Log(report.Text())
}

// TestStaleAnswersAreNoticed is the control: an introspection that is a second old.
func TestStaleAnswersAreNoticed(t *testing.T) {
	run := historyRun(t)
	run.Calm, run.Cached = true, true
	report, err := run.Run(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, report.Illegal)
	t.Log(report.Text())
}
