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
	flags.DurationVar(&o.timeout, "request-timeout", 10*time.Second, "how long a request may wait for the database until its answer is 503")
	flags.Float64Var(&o.rate, "rate-limit", 0, "requests a second of one principal (the token's tenant and subject); 0 for no limit")
	flags.Float64Var(&o.addressRate, "address-rate-limit", 0, "requests a second from one address, or one IPv6 network of 64 bits; 0 for no limit")
	flags.IntVar(&o.burst, "rate-burst", 0, "requests at once within either limit; what one second allows when 0")
	flags.IPNetSliceVar(&o.proxies, "trusted-proxies", nil,
		"networks (CIDR) of the proxies whose X-Forwarded-For tells the address of a client; nobody's does when empty")
	flags.StringSliceVar(&o.origins, "cors-origin", nil, "web origins whose pages may call the API, as in https://console.example.com")
	flags.StringVar(&o.cert, "tls-cert", "", "file with the certificate chain (PEM) to serve HTTPS with; followed when it changes")
	flags.StringVar(&o.key, "tls-key", "", "file with the certificate's private key (PEM)")
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
