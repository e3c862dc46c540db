// Package tuning lets the store's tests make small what is large in production, so that few sessions take the ways of many.
package tuning

import "context"

type bucketSizeKey struct{}

// WithBucketSize returns a context in which a store is opened whose page index has buckets of this size. Beyond as many sessions, a
// revocation of all of a tenant is applied in the background.
func WithBucketSize(ctx context.Context, size int) context.Context {
	return context.WithValue(ctx, bucketSizeKey{}, size)
}

// BucketSize is the size that was chosen, 0 when none was.
func BucketSize(ctx context.Context) int {
	size, _ := ctx.Value(bucketSizeKey{}).(int)
	return size
}
