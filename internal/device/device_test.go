package device_test

import (
	"bufio"
	"embed"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/device"
)

func TestType(t *testing.T) {
	parser := device.NewParser()
	for agent, want := range map[string]string{
		// browsers
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                         device.Desktop,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15":                      device.Desktop,
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  device.Desktop,
		"Mozilla/5.0 (X11; OpenBSD amd64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                 device.Desktop,
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                          device.Desktop,
		"Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1; Trident/5.0; Tablet PC 2.0)":                                                          device.Desktop,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": device.Mobile,
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":                   device.Mobile,
		"Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                    device.Mobile,
		"Mozilla/5.0 (Linux; Android 9; CUBOT_P30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36":                  device.Mobile,
		"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1":          device.Tablet,
		"Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                          device.Tablet,
		"Mozilla/5.0 (Android 14; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                    device.Tablet,
		"Mozilla/5.0 (Wayland; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                               device.Desktop,
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 (Ecosia win@126.0.0.0)":              device.Desktop,
		"Mozilla/5.0 (Mobile; rv:140.0) Gecko/140.0 Firefox/140.0":                                                                                device.Mobile,
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/30.0 Chrome/143.0.0.0 Safari/537.36":               device.Desktop,
		// people inside applications
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 334.0.0.22.95 (iPhone14,5; iOS 17_5; en_US)": device.Mobile,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/320.0 Mobile/15E148 Safari/604.1":                                device.Mobile,
		"Example/3.1 (Linux; Android 14; Pixel 8) okhttp/4.12.0": device.Mobile,
		// screens
		"Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36":     device.Other,
		"Mozilla/5.0 (PlayStation; PlayStation 5/8.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1": device.Other,
		"Mozilla/5.0 (Windows; U; Windows NT 5.1; xx;) AppleWebKit/534(KHTML, like Gecko) NX/2.0 (DTV; HTML; R1.0;)":       device.Other,
		"Opera/9.80 (Linux armv7l; InettvBrowser/2.2 (00014A;SonyDTV115;0002;0100)) Presto/2.12.362 Version/12.11":         device.Other,
		// programs
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                      device.Bot,
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36": device.Bot,
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)":        device.Bot,
		"Mozilla/5.0 (compatible; evc-batch/2.0)":                                                                       device.Bot,
		"curl/8.5.0":             device.Bot,
		"Wget/1.21.4":            device.Bot,
		"python-requests/2.32.3": device.Bot,
		"Go-http-client/2.0":     device.Bot,
		"okhttp/4.12.0":          device.Bot,
		// nothing known
		"":                              device.Other,
		" ":                             device.Other,
		"something nobody has heard of": device.Other,
		"Mozilla/5.0":                   device.Other,
	} {
		assert.Equal(t, want, parser.Type(agent), agent)
	}
}

// TestTypeOnCorpora holds the answers against public corpora. The bounds are just below what was measured, which
// testdata/README.md says; a change that makes the answers better raises them.
func TestTypeOnCorpora(t *testing.T) {
	parser := device.NewParser()
	for file, bounds := range map[string]map[string]float64{
		"browsers.tsv": {device.Desktop: 1, device.Mobile: 1, device.Tablet: 1},
		"crawlers.tsv": {device.Bot: 0.89},
		"history.tsv":  {device.Tablet: 0.88, device.Other: 0.9},
	} {
		t.Run(file, func(t *testing.T) {
			right, all := map[string]float64{}, map[string]float64{}
			for _, sample := range readCorpus(t, file) {
				all[sample.kind]++
				if parser.Type(sample.agent) == sample.kind {
					right[sample.kind]++
				}
			}
			require.Len(t, all, len(bounds), "a kind without a bound is not checked")
			for kind, bound := range bounds {
				t.Logf("%s: %.1f %% of %.0f", kind, 100*right[kind]/all[kind], all[kind])
				assert.GreaterOrEqual(t, right[kind]/all[kind], bound, kind)
			}
		})
	}
}

// TestTypeIsNeverBotForPeople is apart because it matters most: a person's session must not look like a robot's.
func TestTypeIsNeverBotForPeople(t *testing.T) {
	parser := device.NewParser()
	for _, sample := range readCorpus(t, "browsers.tsv") {
		assert.NotEqual(t, device.Bot, parser.Type(sample.agent), sample.agent)
	}
}

func TestTypeOfHostileAgents(t *testing.T) {
	parser := device.NewParser()
	for name, agent := range hostile() {
		t.Run(name, func(t *testing.T) {
			assert.Contains(t, device.Types(), parser.Type(agent))
		})
	}
}

func TestTypeReadsSoMuchAndNoMore(t *testing.T) {
	parser := device.NewParser()
	assert.Equal(t, device.Bot, parser.Type(strings.Repeat("x", 1019)+" curl"))
	assert.Equal(t, device.Other, parser.Type(strings.Repeat("x", 1020)+" curl"))
}

func FuzzType(f *testing.F) {
	parser := device.NewParser()
	for _, agent := range hostile() {
		f.Add(agent)
	}
	f.Add("Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36")
	f.Fuzz(func(t *testing.T, agent string) {
		if kind := parser.Type(agent); !slices.Contains(device.Types(), kind) {
			t.Errorf("%q is no kind of device", kind)
		}
	})
}

func BenchmarkType(b *testing.B) {
	parser := device.NewParser()
	agents := map[string]string{
		"browser": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"bot":     "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
	}
	maps.Copy(agents, hostile())
	for name, agent := range agents {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parser.Type(agent)
			}
		})
	}
}

// hostile are agents that nobody sends with good intentions.
func hostile() map[string]string {
	return map[string]string{
		"long":          strings.Repeat("x", 2048),
		"megabyte":      strings.Repeat("Mozilla/5.0 (", 1<<16),
		"many products": strings.Repeat("A/1 ", 2048),
		"same product":  strings.Repeat("Chrome/1.0 ", 2048),
		"nested":        strings.Repeat("(", 2048),
		"semicolons":    strings.Repeat("; ", 2048),
		"control":       strings.Repeat("\x00\x01\r\n\t\x7f", 300),
		"not UTF-8":     strings.Repeat("\xff\xfe\xc3\x28", 300),
		"cut rune":      strings.Repeat("€", 600),
		"grows":         strings.Repeat("İ", 600), // longer in lower case
	}
}

//go:embed testdata/*.tsv
var corpora embed.FS

type sample struct{ kind, agent string }

// readCorpus reads a file of testdata: on each line a kind and an agent.
func readCorpus(tb testing.TB, name string) []sample {
	tb.Helper()
	file, err := corpora.Open("testdata/" + name)
	require.NoError(tb, err)
	defer func() { _ = file.Close() }()
	var samples []sample
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		kind, agent, found := strings.Cut(scanner.Text(), "\t")
		require.True(tb, found, scanner.Text())
		samples = append(samples, sample{kind, agent})
	}
	require.NoError(tb, scanner.Err())
	require.NotEmpty(tb, samples)
	return samples
}
