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

	"github.com/sessiond/sessiond/internal/httpserver"
)

// certificateInterval is how often the certificate's files are looked at.
const certificateInterval = 10 * time.Second

// httpOptions are the flags about HTTP: limits, proxies, other origins, TLS.
type httpOptions struct {
	timeout           time.Duration
	rate, addressRate float64
	burst             int
	proxies           []net.IPNet
	origins           []string
	cert, key         string
}

func (o *httpOptions) flags(flags *pflag.FlagSet) {
	flags.DurationVar(&o.timeout, "request-timeout", 10*time.Second, "answer 503 when a request has not been served after this time")
	flags.Float64Var(&o.rate, "rate-limit", 0, "requests per second of one principal (tenant and subject of the token); 0 for no limit")
	flags.Float64Var(&o.addressRate, "address-rate-limit", 0, "requests per second from one IPv4 address or one IPv6 /64 network; 0 for no limit")
	flags.IntVar(&o.burst, "rate-burst", 0, "burst size of both rate limits; the requests of one second when 0")
	flags.IPNetSliceVar(&o.proxies, "trusted-proxies", nil,
		"proxies whose X-Forwarded-For header is trusted, as a comma-separated list of `CIDR` ranges; none when empty")
	flags.StringSliceVar(&o.origins, "cors-origin", nil, "web origins that may call the API (CORS), as a comma-separated list of `ORIGINS` such as https://console.example.com")
	flags.StringVar(&o.cert, "tls-cert", "", "`FILE` with the certificate chain (PEM) for HTTPS; reloaded when it changes")
	flags.StringVar(&o.key, "tls-key", "", "`FILE` with the private key (PEM) of the certificate")
}

func (o *httpOptions) check() error {
	for _, rate := range []float64{o.rate, o.addressRate} {
		if rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0) {
			return usageError{errors.New("--rate-limit and --address-rate-limit must be numbers that are not negative; 0 is for no limit")}
		}
	}
	switch {
	case o.timeout <= 0:
		return usageError{errors.New("--request-timeout must be positive")}
	case o.burst < 0:
		return usageError{errors.New("--rate-burst must not be negative")}
	case o.burst > 0 && o.rate == 0 && o.addressRate == 0:
		return usageError{errors.New("--rate-burst limits nothing alone: set --rate-limit or --address-rate-limit too")}
	case (o.cert == "") != (o.key == ""):
		return usageError{errors.New("--tls-cert and --tls-key belong together: set both, or neither to serve plain HTTP")}
	}
	for _, origin := range o.origins {
		if !validOrigin(origin) {
			return usageError{fmt.Errorf("--cors-origin %q is not a web origin: use https://HOST or https://HOST:PORT, each by name", origin)}
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

// options are those that the handler takes.
func (o *httpOptions) options() httpserver.Options {
	return httpserver.Options{
		RequestTimeout: o.timeout, TrustedProxies: o.proxies, Origins: o.origins,
		Rates: httpserver.Rates{
			Principal: httpserver.Rate{PerSecond: o.rate, Burst: o.burst}, Address: httpserver.Rate{PerSecond: o.addressRate, Burst: o.burst},
		},
	}
}

func (o *httpOptions) scheme() string {
	if o.cert != "" {
		return "https"
	}
	return "http"
}

// server is a server without its handler. Its certificate, when it has one, is watched until it is closed.
func (o *httpOptions) server(ctx context.Context, logger *slog.Logger, opened *closers, again *reloads) (*http.Server, error) {
	server := httpserver.New(nil, o.timeout, logger)
	if o.cert != "" {
		certificate, err := httpserver.OpenCertificate(o.cert, o.key, logger)
		if err != nil {
			return nil, fmt.Errorf("the certificate of --tls-cert and --tls-key cannot be used: %s", oneLine(err))
		}
		server.TLSConfig = certificate.TLSConfig()
		opened.add(certificate.Watch(ctx, certificateInterval))
		again.add(certificate.Reload)
	}
	return server, nil
}
