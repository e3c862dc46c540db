// Package geo looks up the place of an IP address in a database in MaxMind's format.
package geo

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// language is that of the names of places.
const language = "en"

// Database is an open database of places. It is safe for concurrent use until it is closed. A nil Database knows no address:
// use it where none is configured.
//
// The file is read where it lies: put a newer one in its place by renaming, never by writing into it, and restart to use
// it.
type Database struct{ reader *maxminddb.Reader }

// Open opens a database of cities or of countries, such as GeoLite2-City.mmdb.
func Open(path string) (*Database, error) {
	reader, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the location database %s cannot be read: %w", path, err)
	}
	if kind := reader.Metadata.DatabaseType; !hasPlaces(kind) {
		_ = reader.Close()
		return nil, fmt.Errorf("the location database %s is of the type %q; one of cities or countries is needed", path, kind)
	}
	return &Database{reader: reader}, nil
}

// hasPlaces says whether databases of a type have places: GeoLite2-City, GeoIP2-Enterprise, DBIP-Country-Lite and others.
func hasPlaces(kind string) bool {
	for _, word := range []string{"City", "Country", "Enterprise", "Location"} {
		if strings.Contains(kind, word) {
			return true
		}
	}
	return false
}

// Place is where an address is. Members that are not known are empty.
type Place struct {
	// Name is in English: "City, Country", or only the country.
	Name string
	// Country is the ISO 3166-1 alpha-2 code.
	Country string
}

// Locate returns the place of an IP address. It is empty when the place is not known, or when the text is no IP address.
func (d *Database) Locate(address string) Place {
	if d == nil {
		return Place{}
	}
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" { // A zone is a network interface, which is nowhere.
		return Place{}
	}
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return Place{}
	}
	var found struct {
		City    place `maxminddb:"city"`
		Country place `maxminddb:"country"`
	}
	if err := d.reader.Lookup(ip).Decode(&found); err != nil {
		return Place{} // A session without a place is worth more than no session.
	}
	city, country := found.City.Names[language], found.Country.Names[language]
	at := Place{Name: country, Country: found.Country.Code}
	if city != "" && country != "" {
		at.Name = city + ", " + country
	}
	return at
}

// Close gives the file back. No address can be located from then on, nor while it closes.
func (d *Database) Close() error {
	if d == nil {
		return nil
	}
	return d.reader.Close()
}

// place is a city or a country of a record, named in several languages.
type place struct {
	Names map[string]string `maxminddb:"names"`
	Code  string            `maxminddb:"iso_code"`
}
