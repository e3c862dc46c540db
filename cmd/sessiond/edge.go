package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sessiond/sessiond/handlers"
)

// edge is what stands between the network and the operations.
type edge struct {
	timeout           time.Duration
	rate, addressRate float64
	burst             int
	proxies           []net.IPNet
	origins           []string
	cert, key         string
}

func (e *edge) flags(flags *pflag.FlagSet) {
	flags.DurationVar(&e.timeout, "request-timeout", 10*time.Second, "answer 503 when a request has not been served after this time")
	flags.Float64Var(&e.rate, "rate-limit", 0, "requests per second of one principal (tenant and subject of the token); 0 for no limit")
	flags.Float64Var(&e.addressRate, "address-rate-limit", 0, "requests per second from one IPv4 address or one IPv6 /64 network; 0 for no limit")
	flags.IntVar(&e.burst, "rate-burst", 0, "burst size of both rate limits; the requests of one second when 0")
	flags.IPNetSliceVar(&e.proxies, "trusted-proxies", nil,
		"proxies whose X-Forwarded-For header is trusted, as a comma-separated list of `CIDR` ranges; none when empty")
	flags.StringSliceVar(&e.origins, "cors-origin", nil, "web origins that may call the API (CORS), as a comma-separated list of `ORIGINS` such as https://console.example.com")
	flags.StringVar(&e.cert, "tls-cert", "", "`FILE` with the certificate chain (PEM) for HTTPS; reloaded when it changes")
	flags.StringVar(&e.key, "tls-key", "", "`FILE` with the private key (PEM) of the certificate")
}

func (e *edge) check() error {
	for _, rate := range []float64{e.rate, e.addressRate} {
		if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
			return usageError{errors.New("--rate-limit and --address-rate-limit must be numbers that are not negative; 0 is for no limit")}
		}
	}
	switch {
	case e.timeout <= 0:
		return usageError{errors.New("--request-timeout must be positive")}
	case e.burst < 0:
		return usageError{errors.New("--rate-burst must not be negative")}
	case e.burst > 0 && e.rate == 0 && e.addressRate == 0:
		return usageError{errors.New("--rate-burst limits nothing alone: set --rate-limit or --address-rate-limit too")}
	case (e.cert == "") != (e.key == ""):
		return usageError{errors.New("--tls-cert and --tls-key belong together: set both, or neither to serve plain HTTP")}
	}
	for _, origin := range e.origins {
		if !validOrigin(origin) {
			return usageError{fmt.Errorf("--cors-origin %q is no web origin: use https://HOST or https://HOST:PORT, each by name", origin)}
		}
	}
	return nil
}

// validOrigin: a scheme and a host, as browsers send it (RFC 6454, section 6.2), and no pattern.
func validOrigin(origin string) bool {
	parsed, err := url.Parse(origin)
	return err == nil && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != "" &&
		origin == parsed.Scheme+"://"+parsed.Host && !strings.Contains(origin, "*")
}

// over puts the edge over the rest of a configuration.
func (e *edge) over(config handlers.Config) handlers.Config {
	config.RequestTimeout, config.TrustedProxies, config.Origins = e.timeout, e.proxies, e.origins
	config.Rates = handlers.Rates{
		Principal: handlers.Rate{PerSecond: e.rate, Burst: e.burst}, Address: handlers.Rate{PerSecond: e.addressRate, Burst: e.burst},
	}
	return config
}

func (e *edge) scheme() string {
	if e.cert != "" {
		return "https"
	}
	return "http"
}

// server is a server without its handler. Its certificate, when it has one, is followed until it is closed.
func (e *edge) server(ctx context.Context, logger *slog.Logger, opened *closers, again *reloads) (*http.Server, error) {
	server := newServer(nil, logger)
	server.WriteTimeout += e.timeout
	if e.cert != "" {
		certificate, err := openCertificate(e.cert, e.key, logger)
		if err != nil {
			return nil, err
		}
		server.TLSConfig = certificate.config()
		opened.add(certificate.follow(ctx, followEvery))
		again.add(certificate.check)
	}
	return server, nil
}
