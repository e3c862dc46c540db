package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxVerified is how many tokens are cached, about a kilobyte each. Only tokens that the issuer has signed are, so that a
	// stranger can neither fill the cache nor evict others.
	maxVerified = 1 << 14
	// verifiedShards is into how many parts, each with a lock of its own, they are divided.
	verifiedShards = 1 << 4
)

// tokenID is the hash of a token: the cache holds no token that could be stolen from memory.
type tokenID [sha256.Size]byte

// verifiedToken is the result of one full verification. It is shared by all requests with the token and never changes.
type verifiedToken struct {
	caller    Caller
	notBefore time.Time // zero when the token does not say
	by        signer
}

// signer is the key of a signature.
type signer struct {
	kid string // under which the token names the key
	key Key
}

// verifiedTokens caches the valid tokens that were used last. It does not say whether one is still valid: see Verifier.Verify.
type verifiedTokens [verifiedShards]*verifiedShard

type verifiedShard struct {
	mu     sync.Mutex
	tokens *simplelru.LRU[tokenID, *verifiedToken]
}

// newVerifiedTokens returns an empty cache for up to size tokens, a multiple of the number of shards.
func newVerifiedTokens(size int) (verifiedTokens, error) {
	var shards verifiedTokens
	for i := range shards {
		tokens, err := simplelru.NewLRU[tokenID, *verifiedToken](size/verifiedShards, nil)
		if err != nil {
			return shards, err
		}
		shards[i] = &verifiedShard{tokens: tokens}
	}
	return shards, nil
}

// shard is the one for a token; hashes are spread evenly.
func (v *verifiedTokens) shard(id tokenID) *verifiedShard { return v[id[0]%verifiedShards] }

func (v *verifiedTokens) get(id tokenID) (*verifiedToken, bool) {
	shard := v.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.tokens.Get(id)
}

// add caches a token, and evicts the least recently used one when the shard is full.
func (v *verifiedTokens) add(id tokenID, token *verifiedToken) {
	shard := v.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.tokens.Add(id, token)
}
