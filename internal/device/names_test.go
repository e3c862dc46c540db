package device_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/internal/device"
)

func TestNames(t *testing.T) {
	parser := device.NewParser()
	for agent, want := range map[string][2]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0":              {"Edge", "Windows"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15":                         {"Safari", "macOS"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.0.0 Mobile/15E148 Safari/604.1": {"Chrome", "iOS"},
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                     {"Firefox", "Linux"},
		"curl/8.5.0": {"curl", ""},
		"okhttp":     {"okhttp", ""},
		"MyApp 3.2":  {"MyApp", ""},
		"":           {"", ""},
		"<script>":   {"", ""},
		"a@b":        {"", ""},
		"名前/1":       {"", ""},
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": {"", ""},
		strings.Repeat("x", 41):                       {"", ""},
		strings.Repeat("x", 5000):                     {"", ""},
		strings.Repeat("x", 40) + "/1":                {strings.Repeat("x", 40), ""},
		strings.Repeat(" ", 1024) + "Windows NT 10.0": {"", ""},
	} {
		browser, system := parser.Names(agent)
		assert.Equal(t, want, [2]string{browser, system}, agent)
	}
}
