package apifuzz

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
)

// request is one as it goes over the wire.
type request struct {
	method, path string
	query        url.Values
	headers      [][2]string
	body         string
	hasBody      bool
	// what was done to it.
	note string
}

func (r *request) set(name, value string) {
	for i := range r.headers {
		if r.headers[i][0] == name {
			r.headers[i][1] = value
			return
		}
	}
	r.headers = append(r.headers, [2]string{name, value})
}

func (r *request) drop(name string) {
	kept := r.headers[:0]
	for _, header := range r.headers {
		if header[0] != name {
			kept = append(kept, header)
		}
	}
	r.headers = kept
}

// text is the request as HTTP/1.1 has it.
func (r *request) text() string {
	var text strings.Builder
	target := r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: sessiond.test\r\n", r.method, target)
	for _, header := range r.headers {
		fmt.Fprintf(&text, "%s: %s\r\n", header[0], header[1])
	}
	if r.hasBody {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(r.body))
	}
	return text.String() + "\r\n" + r.body
}

// String is the request for people: the token is left out, and a long body is cut.
func (r *request) String() string {
	body := r.body
	if len(body) > 500 {
		body = body[:500] + "…"
	}
	return fmt.Sprintf("%s %s?%s (%s) %q\n", r.method, r.path, r.query.Encode(), r.note, body)
}

// send gives the request to the handler as the HTTP server would.
func send(handler http.Handler, r *request) (*httptest.ResponseRecorder, error) {
	parsed, err := http.ReadRequest(bufio.NewReader(strings.NewReader(r.text())))
	if err != nil {
		return nil, err
	}
	parsed.RemoteAddr = "192.0.2.1:1234"
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, parsed)
	return recorder, nil
}
