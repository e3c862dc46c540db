package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxVerified is how many tokens are remembered, about a kilobyte each. Only what the issuer has signed gets in, so a
	// stranger can neither fill it nor push others out.
	maxVerified = 1 << 14
	// verifiedShards is into how many parts, each with a lock of its own, they are divided.
	verifiedShards = 1 << 4
)

// tokenID stands for a token, so that none is kept: whoever reads the memory finds no way in.
type tokenID [sha256.Size]byte

// verifiedToken is what one full check found out. It is shared by all who use the token and never changes.
type verifiedToken struct {
	caller    Caller
	notBefore time.Time // zero when the token does not say
	by        signer
}

// signer is what made a signature.
type signer struct {
	kid string // under which the token names the key
	key Key
}

// verifiedTokens remembers the tokens used last that were good. It says nothing about now: see Verifier.Verify.
type verifiedTokens [verifiedShards]*verifiedShard

type verifiedShard struct {
	mu     sync.Mutex
	tokens *simplelru.LRU[tokenID, *verifiedToken]
}

// newVerifiedTokens returns an empty memory for up to size tokens, a multiple of the number of shards.
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

// add remembers a token in place of the one that has not been used for longest, where there is no room.
func (v *verifiedTokens) add(id tokenID, token *verifiedToken) {
	shard := v.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.tokens.Add(id, token)
}
