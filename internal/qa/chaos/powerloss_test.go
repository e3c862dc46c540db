package chaos

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func powerLoss(t *testing.T) PowerLoss {
	t.Helper()
	return PowerLoss{Binary: sessiond(t), Dir: directory(t), Writers: 4, Writes: 10, Moments: 8, Seed: 1}
}

func TestSQLiteSurvivesPowerLoss(t *testing.T) {
	report, err := powerLoss(t).Run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 40, report.Acknowledged)
	assert.Empty(t, Head(report.Lost))
	assert.Empty(t, Head(report.Torn))
	t.Log(report.Text())
}

// TestPowerLossIsNoticed is the control: the log is not flushed.
func TestPowerLossIsNoticed(t *testing.T) {
	run := powerLoss(t)
	run.Unflushed = true
	report, err := run.Run(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, report.Lost)
	t.Log(report.Text())
}
