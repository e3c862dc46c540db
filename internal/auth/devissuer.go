package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	// DevIssuerName is the issuer of development tokens. It is no URL, so it cannot be mistaken for a real one.
	DevIssuerName = "urn:sessiond:dev"
	// DevAudience is the audience of development tokens.
	DevAudience = "sessiond"

	devKeyFile  = "dev-issuer.jwk"
	devClient   = "sessiond-cli"
	devLifetime = time.Hour
)

// DevIssuer makes tokens for development. Whoever can read its key file can be anyone, so a server may trust it on the
// loopback address only.
type DevIssuer struct {
	key jose.JSONWebKey
}

// TokenRequest says what a development token shall hold. Only Subject is needed; an empty field is left out of the token,
// but for ClientID, which is the command line's own then, and TTL, which is an hour.
type TokenRequest struct {
	Subject, TenantID, PartnerID, SessionID, ClientID, Scope string
	TTL                                                      time.Duration
}

// OpenDevIssuer loads the development key from the data directory and makes both where they are missing. Processes that
// do this at the same time end up with the same key.
func OpenDevIssuer(dataDir string) (*DevIssuer, error) {
	issuer, err := LoadDevIssuer(dataDir)
	if !errors.Is(err, fs.ErrNotExist) {
		return issuer, err
	}
	if err := createDevKey(dataDir, filepath.Join(dataDir, devKeyFile)); err != nil {
		return nil, fmt.Errorf("the development key cannot be stored: %w: check the data directory and its permissions", err)
	}
	return LoadDevIssuer(dataDir)
}

// LoadDevIssuer loads the development key from the data directory, and makes none.
func LoadDevIssuer(dataDir string) (*DevIssuer, error) {
	path := filepath.Join(dataDir, devKeyFile)
	data, err := os.ReadFile(path) //nolint:gosec // the operator names the directory, that is the purpose
	if err != nil {
		return nil, fmt.Errorf("the development key cannot be read: %w: check the data directory and its permissions", err)
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(data, &key); err == nil {
		if _, ok := key.Key.(ed25519.PrivateKey); ok && key.KeyID != "" {
			return &DevIssuer{key: key}, nil
		}
	}
	return nil, fmt.Errorf("the development key %s is damaged: delete the file to have a new one made, and mint tokens anew", path)
}

// createDevKey makes a key file, or does nothing when another process was faster. The file appears under its name only
// when it is complete, and linking, unlike renaming, does not replace one that is there.
func createDevKey(dataDir, path string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(public)
	key := jose.JSONWebKey{
		Key: private, KeyID: base64.RawURLEncoding.EncodeToString(digest[:12]), Algorithm: algEdDSA, Use: "sig",
	}
	data, err := json.Marshal(key)
	if err != nil {
		return err
	}
	temporary, err := writeTemporary(dataDir, append(data, '\n'))
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeTemporary writes a new file that only its owner can read, and returns its name.
func writeTemporary(dir string, data []byte) (string, error) {
	file, err := os.CreateTemp(dir, devKeyFile+".*") // made with mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// Config returns what a Verifier needs to know to take the development tokens.
func (d *DevIssuer) Config() Config {
	return Config{Issuer: DevIssuerName, Audience: DevAudience, Algorithms: []string{algEdDSA}}
}

// Keys returns the public key as a source for a Verifier.
func (d *DevIssuer) Keys() KeySource {
	public := d.key.Public()
	return StaticKeys{public.KeyID: {{ID: public.KeyID, Algorithm: algEdDSA, Public: public.Key}}}
}

// Mint makes an access token in the form of RFC 9068.
func (d *DevIssuer) Mint(request TokenRequest, now time.Time) (string, error) {
	if request.Subject == "" {
		return "", errors.New("a token needs a subject")
	}
	if request.TTL < 0 {
		return "", fmt.Errorf("a token's time to live is %s: it must be above zero", request.TTL)
	}
	if request.TTL == 0 {
		request.TTL = devLifetime
	}
	if request.ClientID == "" {
		request.ClientID = devClient
	}
	claims := map[string]any{
		"iss": DevIssuerName, "aud": DevAudience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(request.TTL).Unix(),
	}
	for name, value := range map[string]string{
		"sub": request.Subject, "tenant_id": request.TenantID, "partner_id": request.PartnerID,
		"sid": request.SessionID, "client_id": request.ClientID, "scope": request.Scope,
	} {
		if !clean(value) {
			return "", fmt.Errorf("a token's %s must be plain UTF-8 text", strings.ReplaceAll(name, "_", " "))
		}
		if value != "" {
			claims[name] = value
		}
	}
	return d.sign(claims)
}

func (d *DevIssuer) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: d.key},
		new(jose.SignerOptions).WithType("at+jwt"))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
