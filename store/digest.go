package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
)

// digestLength is how many bytes of a digest are kept: 128 bits, which nobody meets by chance or by trying.
const digestLength = 16

// What a digest is of; digests of different kinds never meet.
const (
	digestOfSession = "session"
	digestOfUser    = "user"
	digestOfErasure = "erasure"
	digestOfCall    = "call"
)

// digester makes keyed digests (HMAC-SHA-256, RFC 2104) of what must be recognized but not be kept. The key is the
// database's own, so all instances make the same.
type digester struct {
	mu  sync.Mutex
	key []byte
}

// errNoKey: the schema has a table of secrets without the key.
var errNoKey = errors.New("the key of digests is missing in the table secrets")

// digestKey returns the key, which is read once.
func (s *Store) digestKey(ctx context.Context) ([]byte, error) {
	s.digests.mu.Lock()
	defer s.digests.mu.Unlock()
	if s.digests.key != nil {
		return s.digests.key, nil
	}
	value := ""
	err := s.engine.DB.WithContext(ctx).Raw("SELECT value FROM secrets WHERE name = 'digest_key'").Scan(&value).Error
	if err == nil && value == "" {
		err = errNoKey
	}
	if err != nil {
		return nil, mapError("read the key of digests", err)
	}
	s.digests.key = []byte(value)
	return s.digests.key, nil
}

// digest is the keyed digest of texts of a kind. It must not be called first inside a transaction, which would wait for a
// second connection: see digestKey.
func (s *Store) digest(ctx context.Context, kind string, texts ...string) (string, error) {
	key, err := s.digestKey(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(kind))
	for _, text := range texts {
		mac.Write([]byte{0}) // no id has one in it
		mac.Write([]byte(text))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:digestLength]), nil
}
