package httpserver

import (
	"net"
	"time"
)

// Options are what an operator may set about HTTP. Their zero value limits nothing and trusts nobody.
type Options struct {
	// RequestTimeout is how long a request may wait for the database and the like until its answer is 503; there is no such
	// limit when zero.
	RequestTimeout time.Duration
	// Rates limit how often a principal and an address may ask.
	Rates Rates
	// TrustedProxies are those whose X-Forwarded-For tells the address of a client.
	TrustedProxies []net.IPNet
	// Origins are the web origins whose pages may call the API (CORS), such as https://console.example.com.
	Origins []string
}
