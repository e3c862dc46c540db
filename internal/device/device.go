// Package device tells what kind of device a user agent runs on, and which browser and operating system it names.
//
// The words of words.go decide what kind: the kind is that of the first list with a word that the agent has.
// testdata/README.md says how often the answers are right.
package device

import (
	"strings"

	"github.com/medama-io/go-useragent"
)

// The kinds of device, as the API names them.
const (
	Desktop = "desktop"
	Mobile  = "mobile"
	Tablet  = "tablet"
	Bot     = "bot"
	Other   = "other"
)

// longest is how many bytes of an agent are read. Browsers send some 200, and the time grows with the length.
const longest = 1024

// Types lists every kind, so that statistics can show those with a count of zero too.
func Types() []string { return []string{Desktop, Mobile, Tablet, Bot, Other} }

// Parser reads user agents. It is safe for concurrent use.
type Parser struct {
	words  words
	agents *useragent.Parser
}

// NewParser prepares a parser.
func NewParser() *Parser { return &Parser{words: newWords(), agents: useragent.NewParser()} }

// Type names the kind of device of a User-Agent header's value.
//
// A program counts as a Bot, be it a crawler or an HTTP library such as curl, for no person reads what it gets; a library
// that names a phone or tablet is an application on it and counts as that. A television, console, watch or headset is
// Other, and so is an agent that nothing is known about.
func (p *Parser) Type(userAgent string) string {
	lower := strings.ToLower(shortened(userAgent))
	switch {
	case p.words.isBot(lower):
		return Bot
	case contains(lower, p.words.screens):
		return Other
	case p.words.isTablet(lower):
		return Tablet
	case contains(lower, p.words.phones):
		return Mobile
	case p.words.isProgram(lower):
		return Bot
	case contains(lower, p.words.desktops):
		return Desktop
	default:
		return Other
	}
}

// shortened is what is read of an agent.
func shortened(userAgent string) string { return userAgent[:min(len(userAgent), longest)] }
