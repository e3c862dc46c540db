package device

import "strings"

// Names are the browser and the operating system that a User-Agent header's value names, "" where it names none that is known. An agent that
// is no browser's has the name of its program: "curl" of "curl/8.5.0" (RFC 9110, section 10.1.5).
func (p *Parser) Names(userAgent string) (browser, system string) {
	read := shortened(userAgent)
	agent := p.agents.Parse(read)
	browser, system = agent.Browser().String(), agent.OS().String()
	if system == "MacOS" {
		system = "macOS"
	}
	if browser == "" && !strings.HasPrefix(read, "Mozilla/") {
		browser = program(read)
	}
	return browser, system
}

// longestProgram is the most characters of a program's name.
const longestProgram = 40

// program is the name of the first product of an agent, "" when that has no form of a name.
func program(userAgent string) string {
	end := strings.IndexFunc(userAgent, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", r)
	})
	if end < 0 {
		end = len(userAgent)
	}
	if end > longestProgram || end < len(userAgent) && !strings.ContainsRune("/ ", rune(userAgent[end])) {
		return ""
	}
	return userAgent[:end]
}
