package device

import (
	"github.com/medama-io/go-useragent"
	"github.com/medama-io/go-useragent/agents"
)

// Client is what a user agent says of the program and the system that it runs on. A name that is not known is empty; those
// that can be are few, so that they can be counted and filtered by.
type Client struct{ Browser, OS string }

// Client names the browser and the operating system of a User-Agent header's value.
func (p *Parser) Client(userAgent string) Client {
	// The library's list of agents, 5 MB, is read at the first call.
	agent := useragent.NewParser().Parse(shortened(userAgent))
	client := Client{Browser: agent.Browser().String(), OS: agent.OS().String()}
	if agent.OS() == agents.OSMacOS {
		client.OS = "macOS" // as Apple writes it
	}
	return client
}
