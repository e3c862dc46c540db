package handlers

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/gen"
)

// TestReservedSegments: a new literal segment beside an id is one more id that cannot be, which the contract has to say.
func TestReservedSegments(t *testing.T) {
	contract, err := gen.GetSpec()
	require.NoError(t, err)
	reserved := reservedSegments(contract, "session_id")
	assert.ElementsMatch(t, []string{"revoke-all", "stats", "users"}, reserved)
	for _, segment := range reserved {
		assert.Contains(t, contract.Components.Schemas["SessionRegistration"].Value.Properties["id"].Value.Description, "`"+segment+"`")
	}
	for _, parameter := range []string{"user_id", "tenant_id", "application_id"} {
		assert.Empty(t, reservedSegments(contract, parameter), "validateIDs looks at the ids of sessions only")
	}
}
