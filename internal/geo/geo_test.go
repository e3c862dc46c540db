package geo_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sessiond/sessiond/internal/geo"
)

func TestLocate(t *testing.T) {
	database := open(t, write(t, build(t, "GeoLite2-City", places())))
	for name, c := range map[string]struct{ address, want string }{
		"city and country":           {"81.2.69.142", "London, United Kingdom"},
		"IPv6":                       {"2a02:cf40::1", "Oslo, Norway"},
		"IPv4 in IPv6":               {"::ffff:81.2.69.142", "London, United Kingdom"},
		"country only":               {"89.160.20.1", "Sweden"},
		"city unnamed in English":    {"2.125.160.1", "Germany"},
		"country unnamed in English": {"2.126.0.1", ""},
		"city without a country":     {"2.127.0.1", ""},
		"record without places":      {"2.128.0.1", ""},
		"record of another form":     {"2.129.0.1", ""},
		"absent":                     {"8.8.8.8", ""},
		"absent IPv6":                {"2001:4860::1", ""},
		"private, yet in the file":   {"10.1.2.3", ""},
		"private IPv6":               {"fd00::1", ""},
		"loopback":                   {"127.0.0.1", ""},
		"link-local":                 {"169.254.1.1", ""},
		"unspecified":                {"0.0.0.0", ""},
		"multicast":                  {"224.0.0.1", ""},
		"zone":                       {"fe80::1%eth0", ""},
		"zone of a known address":    {"2a02:cf40::1%eth0", ""},
		"empty":                      {"", ""},
		"a name":                     {"localhost", ""},
		"with a port":                {"81.2.69.142:443", ""},
		"a network":                  {"81.2.69.0/24", ""},
		"blanks":                     {" 81.2.69.142 ", ""},
		"control characters":         {"81.2.69.142\x00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, database.Locate(c.address).Name)
		})
	}
}

func TestLocateCountries(t *testing.T) {
	database := open(t, write(t, build(t, "GeoLite2-Country", map[string]mmdbtype.Map{
		"81.2.69.0/24": {"country": named("United Kingdom")},
	})))
	assert.Equal(t, "United Kingdom", database.Locate("81.2.69.142").Name)
}

func TestLocateIPv6InAnIPv4Database(t *testing.T) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IPVersion: 4})
	require.NoError(t, err)
	insert(t, tree, "81.2.69.0/24", mmdbtype.Map{"city": named("London"), "country": named("United Kingdom")})
	database := open(t, write(t, encode(t, tree)))
	assert.Equal(t, "London, United Kingdom", database.Locate("::ffff:81.2.69.142").Name)
	assert.Empty(t, database.Locate("2a02:cf40::1"))
}

func TestLocateConcurrently(t *testing.T) {
	database := open(t, write(t, build(t, "GeoLite2-City", places())))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				assert.Equal(t, "London, United Kingdom", database.Locate("81.2.69.142").Name)
			}
		})
	}
	group.Wait()
}

// TestLocateInADamagedFile breaks each byte in turn: whatever the file has become, no lookup panics, and either Open or the
// lookup tells.
// TestLocateCountryCode: a place has its country's code, whatever else is known of it.
func TestLocateCountryCode(t *testing.T) {
	country := named("United Kingdom")
	country["iso_code"] = mmdbtype.String("GB")
	database := open(t, write(t, build(t, "GeoLite2-City", map[string]mmdbtype.Map{
		"81.2.69.0/24": {"city": named("London"), "country": country}, "89.160.20.0/24": {"country": mmdbtype.Map{"iso_code": mmdbtype.String("SE")}},
	})))
	assert.Equal(t, geo.Place{Name: "London, United Kingdom", Country: "GB"}, database.Locate("81.2.69.142"))
	assert.Equal(t, geo.Place{Country: "SE"}, database.Locate("89.160.20.1"))
	assert.Equal(t, geo.Place{}, database.Locate("8.8.8.8"))
}

func TestLocateInADamagedFile(t *testing.T) {
	good := build(t, "GeoLite2-City", map[string]mmdbtype.Map{
		"81.2.69.0/24": {"city": named("London"), "country": named("United Kingdom")},
	})
	path := filepath.Join(t.TempDir(), "damaged.mmdb")
	refused, elsewhere := 0, 0
	for i := range good {
		damaged := bytes.Clone(good)
		damaged[i] = ^damaged[i]
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		database, err := geo.Open(path)
		if err != nil {
			refused++
			continue
		}
		if database.Locate("81.2.69.142").Name == "" {
			elsewhere++
		}
		require.NoError(t, database.Close())
	}
	assert.Positive(t, refused)
	assert.Positive(t, elsewhere)
}

func TestNoDatabase(t *testing.T) {
	var database *geo.Database
	assert.Empty(t, database.Locate("81.2.69.142"))
	assert.NoError(t, database.Close())
}

func TestLocateAfterClose(t *testing.T) {
	database, err := geo.Open(write(t, build(t, "GeoLite2-City", places())))
	require.NoError(t, err)
	require.NoError(t, database.Close())
	assert.Empty(t, database.Locate("81.2.69.142"))
}

func TestOpenRefuses(t *testing.T) {
	good := build(t, "GeoLite2-City", places())
	for name, c := range map[string]struct{ path, says string }{
		"a missing file":      {filepath.Join(t.TempDir(), "none.mmdb"), "none.mmdb cannot be read"},
		"a directory":         {t.TempDir(), "cannot be read"},
		"an empty file":       {write(t, nil), "cannot be read"},
		"another file":        {write(t, []byte("a,b,c\n1,2,3\n")), "cannot be read"},
		"a file cut off":      {write(t, good[:len(good)/2]), "cannot be read"},
		"a file with no head": {write(t, good[len(good)/2:]), "cannot be read"},
		"another type":        {write(t, build(t, "GeoLite2-ASN", nil)), `is of the type "GeoLite2-ASN"; one of cities or countries is needed`},
	} {
		t.Run(name, func(t *testing.T) {
			database, err := geo.Open(c.path)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, c.path)
			assert.NotContains(t, err.Error(), "\n")
			assert.Nil(t, database)
		})
	}
}

// places are the records of the small database, by network.
func places() map[string]mmdbtype.Map {
	return map[string]mmdbtype.Map{
		"81.2.69.0/24":   {"city": named("London"), "country": named("United Kingdom")},
		"2a02:cf40::/29": {"city": named("Oslo"), "country": named("Norway")},
		"89.160.20.0/24": {"country": named("Sweden")},
		"2.125.160.0/24": {"city": mmdbtype.Map{"names": mmdbtype.Map{"de": mmdbtype.String("Köln")}}, "country": named("Germany")},
		"2.126.0.0/24":   {"city": named("Nowhere"), "country": mmdbtype.Map{"names": mmdbtype.Map{"fr": mmdbtype.String("Suède")}}},
		"2.127.0.0/24":   {"city": named("Atlantis")},
		"2.128.0.0/24":   {"postal": mmdbtype.Map{"code": mmdbtype.String("1")}},
		"2.129.0.0/24":   {"city": mmdbtype.String("Paris"), "country": mmdbtype.String("France")},
		"10.0.0.0/8":     {"city": named("Home"), "country": named("Here")},
		"127.0.0.0/8":    {"country": named("Here")},
		"169.254.0.0/16": {"country": named("Here")},
		"224.0.0.0/4":    {"country": named("Everywhere")},
	}
}

// named is a place with its name in English and another in German.
func named(name string) mmdbtype.Map {
	return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(name), "de": mmdbtype.String(name + " (de)")}}
}

// build makes a database of IPv4 and IPv6 networks.
func build(t *testing.T, kind string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, Description: map[string]string{"en": "made by a test"}, Languages: []string{"en"},
		IncludeReservedNetworks: true,
	})
	require.NoError(t, err)
	for network, record := range records {
		insert(t, tree, network, record)
	}
	return encode(t, tree)
}

func insert(t *testing.T, tree *mmdbwriter.Tree, network string, record mmdbtype.Map) {
	t.Helper()
	_, parsed, err := net.ParseCIDR(network)
	require.NoError(t, err)
	require.NoError(t, tree.Insert(parsed, record))
}

func encode(t *testing.T, tree *mmdbwriter.Tree) []byte {
	t.Helper()
	var buffer bytes.Buffer
	_, err := tree.WriteTo(&buffer)
	require.NoError(t, err)
	return buffer.Bytes()
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "places.mmdb")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func open(t *testing.T, path string) *geo.Database {
	t.Helper()
	database, err := geo.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, database.Close()) })
	return database
}
