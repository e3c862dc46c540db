package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// The algorithms this service knows. The allow-list of an issuer can only be a part of them.
const (
	algRS256 = "RS256"
	algPS256 = "PS256"
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

const (
	// maxToken bounds the work and memory that an unauthenticated request can cause.
	maxToken = 8 << 10
	// maxKeyID is far above any real key id, and keeps long ones out of the key lookup.
	maxKeyID = 256
)

// compact is a token in its parts, nothing verified yet.
type compact struct {
	alg, kid, typ string
	signed        string // what the signature covers: the first two parts as they were sent
	payload       []byte
	signature     []byte
}

// parseCompact reads the compact form of RFC 7515 and its header, strictly: an encoding that a lenient parser elsewhere
// would take for another token is refused.
func parseCompact(token string) (compact, error) {
	if len(token) > maxToken {
		return compact{}, errTooLong()
	}
	head, rest, found := strings.Cut(token, ".")
	body, tail, foundToo := strings.Cut(rest, ".")
	if !found || !foundToo {
		return compact{}, errInvalid(ReasonMalformed, "the token has not two dots")
	}
	var parts [3][]byte
	for i, text := range [...]string{head, body, tail} {
		part, ok := decodePart(text)
		if !ok {
			return compact{}, errInvalid(ReasonMalformed, "a part of the token is not plain base64url")
		}
		parts[i] = part
	}
	parsed := compact{signed: token[:len(head)+1+len(body)], payload: parts[1], signature: parts[2]}
	err := parsed.readHeader(parts[0])
	return parsed, err
}

// decodePart decodes one part. The alphabet is checked by hand because the decoder passes over line breaks; a third dot
// fails here, too.
func decodePart(text string) ([]byte, bool) {
	for i := range len(text) {
		c := text[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, false
		}
	}
	part, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return part, err == nil
}

// readHeader takes the three members that matter. Those that carry or point to keys (jku, jwk, x5u, x5c) are not even
// looked at: a key comes from the issuer's set or not at all.
func (t *compact) readHeader(data []byte) error {
	header, ok := object(data)
	if !ok {
		return errInvalid(ReasonMalformed, "the header is not a JSON object with unique members")
	}
	// No extension is understood here, and RFC 7515 has whoever does not understand one refuse the token.
	if _, present := header["crit"]; present {
		return errInvalid(ReasonMalformed, "the header has critical extensions")
	}
	if _, present := header["b64"]; present {
		return errInvalid(ReasonMalformed, "the header changes the payload's encoding")
	}
	t.alg, _ = header["alg"].(string)
	t.typ, _ = header["typ"].(string)
	t.kid, _ = header["kid"].(string)
	if t.kid == "" || len(t.kid) > maxKeyID {
		return errInvalid(ReasonKey, "the header has no usable key id")
	}
	return nil
}

// object decodes a JSON object. go-jose's decoder is used because it refuses members that occur twice, at any depth, and
// does not fold their case; the standard one lets the last spelling win. null is an object without members here.
func object(data []byte) (map[string]any, bool) {
	if !utf8.Valid(data) {
		return nil, false
	}
	var members map[string]any
	err := json.Unmarshal(data, &members)
	return members, err == nil
}

// verify reports whether the key made the signature. The key's type must be the algorithm's, else one kind of key could be
// passed off as another.
func (t *compact) verify(key Key) bool {
	if !key.allows(t.alg) {
		return false
	}
	if public, ok := key.Public.(ed25519.PublicKey); ok {
		return ed25519.Verify(public, []byte(t.signed), t.signature)
	}
	digest := sha256.Sum256([]byte(t.signed))
	switch public := key.Public.(type) {
	case *rsa.PublicKey:
		if t.alg == algRS256 {
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], t.signature) == nil
		}
		// go-jose would take any salt length; RFC 7518 fixes it.
		return rsa.VerifyPSS(public, crypto.SHA256, digest[:], t.signature,
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		if len(t.signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	default:
		return false
	}
}
