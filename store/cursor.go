package store

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// digestOfCursor authenticates cursors.
const digestOfCursor = "cursor"

// sealCursor makes an opaque text of a position in a list. It is bound to what the list was asked for, and cannot be made up: who sends
// another one back gets ErrCursor and not some other part of the data.
func (s *Store) sealCursor(ctx context.Context, asked string, position any) (string, error) {
	text, err := json.Marshal(position)
	if err != nil {
		return "", err
	}
	digest, err := s.digest(ctx, digestOfCursor, asked, string(text))
	return base64.RawURLEncoding.EncodeToString(text) + "." + digest, err
}

// openCursor reads a cursor into a position.
func (s *Store) openCursor(ctx context.Context, asked, cursor string, position any) error {
	encoded, mac, _ := strings.Cut(cursor, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ErrCursor
	}
	digest, err := s.digest(ctx, digestOfCursor, asked, string(text))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(digest), []byte(mac)) != 1 {
		return ErrCursor
	}
	return json.Unmarshal(text, position)
}
