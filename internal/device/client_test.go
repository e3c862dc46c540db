package device_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sessiond/sessiond/internal/device"
)

func TestClient(t *testing.T) {
	parser := device.NewParser()
	for agent, want := range map[string]device.Client{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36":                            {Browser: "Chrome", OS: "Windows"},
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0":              {Browser: "Edge", OS: "Windows"},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                      {Browser: "Safari", OS: "macOS"},
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                     {Browser: "Firefox", OS: "Linux"},
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                             {Browser: "Chrome", OS: "ChromeOS"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":    {Browser: "Safari", OS: "iOS"},
		"Mozilla/5.0 (Linux; Android 15; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": {Browser: "Samsung Browser", OS: "Android"},
		"curl/8.5.0":                    {},
		"":                              {},
		"something nobody has heard of": {},
	} {
		assert.Equal(t, want, parser.Client(agent), agent)
	}
}

// TestClientOfRealTraffic: nearly every browser that people use has a name, and every system.
func TestClientOfRealTraffic(t *testing.T) {
	parser := device.NewParser()
	samples := readCorpus(t, "browsers.tsv")
	named := 0
	for _, sample := range samples {
		client := parser.Client(sample.agent)
		assert.NotEmpty(t, client.OS, sample.agent)
		if client.Browser != "" {
			named++
		}
	}
	assert.GreaterOrEqual(t, float64(named)/float64(len(samples)), 0.97)
	t.Logf("%d of %d browsers have a name", named, len(samples))
}

// FuzzClient: the names are the library's, whatever is sent; a panic would be seen.
func FuzzClient(f *testing.F) {
	parser := device.NewParser()
	for _, agent := range hostile() {
		f.Add(agent)
	}
	for _, sample := range readCorpus(f, "history.tsv") {
		f.Add(sample.agent)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		if client := parser.Client(agent); len(client.Browser) > 20 || len(client.OS) > 10 {
			t.Errorf("%+v is no name", client)
		}
	})
}

func BenchmarkClient(b *testing.B) {
	parser := device.NewParser()
	b.ReportAllocs()
	for b.Loop() {
		parser.Client("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36")
	}
}
