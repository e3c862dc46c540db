package handlers

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStreamsAreBounded: no owner has more than so many streams, all together have no more than so many, and one that ends makes room.
func TestStreamsAreBounded(t *testing.T) {
	var streams streamCount
	owners := followedAtOnce / followedByOne
	for owner := range owners {
		for range followedByOne {
			require.True(t, streams.enter(strconv.Itoa(owner)))
		}
		require.False(t, streams.enter(strconv.Itoa(owner)), "one's own")
	}
	require.False(t, streams.enter("another"), "all together")
	streams.leave("0")
	require.True(t, streams.enter("another"))
	require.False(t, streams.enter("0"))
	streams.leave("another")
	for owner := range owners {
		for range followedByOne {
			if owner != 0 || streams.owned["0"] > 0 {
				streams.leave(strconv.Itoa(owner))
			}
		}
	}
	assert.Zero(t, streams.all)
	assert.Empty(t, streams.owned)
}
