package device

import "strings"

// words are what to look for in an agent in lower case.
type words struct {
	bots, programs, screens, tablets, phones, desktops []string
}

// newWords is the list. Each word corrects more agents of the corpora in testdata/README.md than it spoils.
func newWords() words {
	return words{
		// Said by robots of themselves, whatever browser they pretend to be.
		bots: []string{
			"bot", "crawl", "spider", "phantomjs", "selenium", "playwright", "lighthouse", "monitor",
			"checker", "preview", "fetch", "scrap", "archive", "scanner", "validator", "externalhit", "externalagent",
			"google-", "://", "headless",
		},
		// HTTP libraries, commands and services. Their names are short, so they count only where no browser is named.
		programs: []string{
			"curl", "wget", "python", "http", "java/", "axios", "node", "ruby", "perl", "php",
			"postman", "insomnia", "dart/", "uptime", "feed", "search", "link", "whatsapp",
			"google", ".com", "@",
		},
		// Neither desktop nor mobile nor tablet, though most of them run Android, Linux or Windows.
		screens: []string{
			"smart-tv", "smarttv", "smart tv", "googletv", "google tv", "android tv", "androidtv", "appletv", "apple tv",
			"hbbtv", "web0s", "bravia", "netcast", "viera", "aquos", "; aft", "roku", "crkey", "tv bro", "tv safari",
			"dtv", "playstation", "xbox", "nintendo", "oculus", "watch",
		},
		tablets: []string{"ipad", "silk/", "playbook"},
		phones: []string{
			"iphone", "android", "mobile", "windows phone", "windows ce", "symbian", "midp",
			"up.browser", "blackberry", "nokia", "kaios", "bada", "wap", "brew", "tizen",
		},
		desktops: []string{"windows", "mac os", "macos", "macbook", "macintosh", "x11", "bsd", "linux x86"},
	}
}

// isBot says whether an agent is a robot's, by its own words.
func (w words) isBot(lower string) bool {
	// Robots call themselves compatible. Of people's browsers only Internet Explorer and Konqueror did.
	if strings.Contains(lower, "compatible;") && !strings.Contains(lower, "msie") && !strings.Contains(lower, "konqueror") {
		return true
	}
	return contains(strings.ReplaceAll(lower, "cubot", ""), w.bots) // Cubot makes phones.
}

// isProgram says whether an agent is an HTTP library's, a command's or a service's.
func (w words) isProgram(lower string) bool {
	browser := strings.HasPrefix(lower, "mozilla/") || strings.HasPrefix(lower, "opera/")
	return !browser && contains(lower, w.programs)
}

// isTablet says whether an agent is a tablet's.
func (w words) isTablet(lower string) bool {
	// Android's browsers say "Mobile" on a phone, and nothing at all on a tablet.
	if strings.Contains(lower, "android") && strings.Contains(lower, "applewebkit") && !strings.Contains(lower, "mobile") {
		return true
	}
	// Windows says "Tablet PC" on any computer with a touch screen.
	return contains(lower, w.tablets) || strings.Contains(strings.ReplaceAll(lower, "tablet pc", ""), "tablet")
}

// contains says whether a text has one of the words.
func contains(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
