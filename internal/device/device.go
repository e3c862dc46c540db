// Package device tells what kind of device a user agent runs on.
package device

import "github.com/medama-io/go-useragent"

// The kinds of device, as the API names them.
const (
	Desktop = "desktop"
	Mobile  = "mobile"
	Tablet  = "tablet"
	Bot     = "bot"
	Other   = "other"
)

// Types lists every kind, so that statistics can show those with a count of zero too.
func Types() []string { return []string{Desktop, Mobile, Tablet, Bot, Other} }

// Parser reads user agents. It is safe for concurrent use.
type Parser struct{ parser *useragent.Parser }

// NewParser prepares a parser; that takes some milliseconds, reading an agent with it microseconds.
func NewParser() *Parser { return &Parser{parser: useragent.NewParser()} }

// Type names the kind of device of a User-Agent header's value: Other for one that nothing is known about.
func (p *Parser) Type(userAgent string) string {
	switch agent := p.parser.Parse(userAgent); {
	case agent.IsBot():
		return Bot
	case agent.IsTablet():
		return Tablet
	case agent.IsMobile():
		return Mobile
	case agent.IsDesktop():
		return Desktop
	default:
		return Other
	}
}
