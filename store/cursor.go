package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// sealCursor makes an opaque text of a position in a list, encrypted and authenticated (AES-GCM). It is bound to what the list was asked for:
// who sends another one back gets ErrCursor and not some other part of the data, and what it passes over stays unknown.
func (s *Store) sealCursor(ctx context.Context, asked string, position any) (string, error) {
	aead, err := s.cursorCipher(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(position)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // it does not fail
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, text, []byte(asked))), nil
}

// openCursor reads a cursor into a position.
func (s *Store) openCursor(ctx context.Context, asked, cursor string, position any) error {
	aead, err := s.cursorCipher(ctx)
	if err != nil {
		return err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(sealed) < aead.NonceSize() {
		return ErrCursor
	}
	text, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(asked))
	if err != nil {
		return ErrCursor
	}
	return json.Unmarshal(text, position)
}

// cursorCipher has a key of its own, which follows from that of the digests, so that all instances have the same.
func (s *Store) cursorCipher(ctx context.Context) (cipher.AEAD, error) {
	key, err := s.digestKey(ctx)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("cursor"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
