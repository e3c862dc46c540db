package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestInterval: of so many fair coins fewer than k show heads in 2.5 of 100 cases at the most.
func TestInterval(t *testing.T) {
	for _, c := range []struct {
		samples     []float64
		least, most float64
		known       bool
	}{
		{nil, 0, 0, false},
		{[]float64{1, 2, 3, 4, 5}, 0, 0, false},
		{[]float64{6, 1, 5, 2, 4, 3}, 1, 6, true},
		{[]float64{8, 7, 6, 5, 4, 3, 2, 1}, 1, 8, true},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 2, 8, true},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 3, 10, true},
	} {
		least, most, known := interval(c.samples)
		assert.Equal(t, c.known, known, c.samples)
		assert.Equal(t, []float64{c.least, c.most}, []float64{least, most}, c.samples)
	}
}
