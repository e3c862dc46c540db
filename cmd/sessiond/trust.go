package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/internal/auth"
)

// trust is whose access tokens are good: the configured issuer's or, in development, our own.
type trust struct {
	dev     bool
	dataDir string
	issuer  issuer
}

func (t *trust) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&t.dev, "dev", false, "development mode: accept tokens of \"sessiond token\", migrate the schema; listens on loopback addresses only")
	dataDirFlag(flags, &t.dataDir)
	t.issuer.flags(flags)
}

func (t *trust) check() error {
	switch {
	case t.dev && t.issuer.given():
		return usageError{errors.New("--dev and --issuer exclude each other: leave --dev away to trust a real issuer")}
	case !t.dev && !t.issuer.given():
		return usageError{errors.New("it must be known whose tokens to trust: set --issuer and --audience, or --dev to try it out")}
	case !t.dev:
		return t.issuer.check()
	}
	return nil
}

// open returns what a verifier needs, and the development issuer when that is trusted.
func (t *trust) open() (auth.Config, auth.KeySource, *auth.DevIssuer, error) {
	if !t.dev {
		config, keys, err := t.issuer.trust()
		return config, keys, nil, err
	}
	dev, err := auth.OpenDevIssuer(t.dataDir)
	if err != nil {
		return auth.Config{}, nil, nil, err
	}
	return dev.Config(), dev.Keys(), dev, nil
}
