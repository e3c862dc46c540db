package store

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"gorm.io/gorm/clause"

	"github.com/sessiond/sessiond/store/internal/counters"
	"github.com/sessiond/sessiond/store/internal/engine"
)

// SearchKey is a text by whose beginning the sessions of a user are found. A user has one for each value that a session of the user has had,
// from the first such session until the last session of the user is deleted.
type SearchKey struct {
	TenantID string `gorm:"primaryKey"`
	// Key is the value in the form in which texts are compared (fold).
	Key    string `gorm:"primaryKey"`
	UserID string `gorm:"primaryKey"`
	// Value is the value as the session has it, "" where it is the key.
	Value string `gorm:"primaryKey"`
}

// maxKey bounds a key and what it is of, in bytes: PostgreSQL's indexes have rows of up to 2,700. A session with longer values is found by its
// other ones.
const maxKey = 2400

// fold is the form in which texts are compared, whatever their case. It is not left to the databases, which know different alphabets.
func fold(text string) string { return strings.ToLower(text) }

// folded is nil for nil.
func folded(text *string) *string {
	if text == nil {
		return nil
	}
	return new(fold(*text))
}

// searchKeys are those of a session, in their order. Its id has none where it is its own key: the index on ids finds it.
func searchKeys(s *Session) []SearchKey {
	values := []string{s.UserID, text(s.UserEmail), text(s.UserDisplayName)}
	if fold(s.ID) != s.ID {
		values = append(values, s.ID)
	}
	var keys []SearchKey
	for _, value := range values {
		key := SearchKey{TenantID: s.TenantID, Key: fold(value), UserID: s.UserID, Value: value}
		if key.Value == key.Key {
			key.Value = ""
		}
		if value == "" || len(key.TenantID)+len(key.Key)+len(key.UserID)+len(key.Value) > maxKey || slices.Contains(keys, key) {
			continue
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, SearchKey.compare)
	return keys
}

// compare orders keys. All transactions insert them in one order, or they would wait for each other.
func (k SearchKey) compare(other SearchKey) int {
	return cmp.Or(cmp.Compare(k.TenantID, other.TenantID), cmp.Compare(k.Key, other.Key), cmp.Compare(k.UserID, other.UserID),
		cmp.Compare(k.Value, other.Value))
}

// SearchedBy is what a session is found by besides its own columns: the key of its address, and the search keys. It is for who fills a
// database without the store; such a session has not moved since its login.
func SearchedBy(s *Session) (address *string, keys []SearchKey) {
	return addressKey(s.IPAddress), searchKeys(s)
}

// recordKeys appends the search keys that sessions are the first to have.
func (t *transaction) recordKeys(created []*Session) error {
	var keys []SearchKey
	for _, session := range created {
		keys = append(keys, searchKeys(session)...)
	}
	slices.SortFunc(keys, SearchKey.compare)
	return counters.Create(t.tx.Clauses(clause.OnConflict{DoNothing: true}), slices.Compact(keys))
}

// user is a user of a tenant.
type user struct{ tenantID, id string }

// lastSessions are the users who have no other sessions than these.
func (t *transaction) lastSessions(sessions []Session) ([]user, error) {
	deleted := map[user]int64{}
	for _, session := range sessions {
		deleted[user{session.TenantID, session.UserID}]++
	}
	var gone []user
	for of, n := range deleted {
		left := int64(0)
		query := t.tx.Model(&Session{}).Table(activeAndEnded).Select("1").Where("tenant_id = ? AND user_id = ?", of.tenantID, of.id).Limit(int(n) + 1)
		if err := t.tx.Table("(?) AS few", query).Count(&left).Error; err != nil {
			return nil, err
		}
		if left <= n {
			gone = append(gone, of)
		}
	}
	return gone, nil
}

// locks keep registrations of users away.
func locksOf(users []user) []engine.Lock {
	locks := make([]engine.Lock, len(users))
	for i, of := range users {
		locks[i] = exclusive(lockName(of.tenantID, of.id))
	}
	return locks
}

// deleteKeys deletes the search keys of users who have no sessions any more. No session of theirs is being registered.
func (t *transaction) deleteKeys(users []user) error {
	for _, of := range users {
		err := t.tx.Where("tenant_id = ? AND user_id = ? AND NOT EXISTS (SELECT 1 FROM "+activeAndEnded+" WHERE tenant_id = ? AND user_id = ?)",
			of.tenantID, of.id, of.tenantID, of.id).Delete(&SearchKey{}).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// sessionRow is a session as it is stored, with the keys of its addresses. That of the login's is there where it is another one.
type sessionRow struct {
	Session
	AddressKey, LoginAddressKey *string
}

// TableName names the table.
func (sessionRow) TableName() string { return "sessions" }

func stored(session Session) sessionRow {
	row := sessionRow{session, addressKey(session.IPAddress), addressKey(session.LoginIPAddress)}
	if row.AddressKey != nil && row.LoginAddressKey != nil && *row.AddressKey == *row.LoginAddressKey {
		row.LoginAddressKey = nil
	}
	return row
}

// addressKey is an address in a form in which those of a network follow each other; nil for what is no address.
func addressKey(address *string) *string {
	parsed, err := netip.ParseAddr(text(address))
	if err != nil {
		return nil
	}
	return new(keyOfAddress(parsed.Unmap()))
}

// keyOfAddress is the family, then the address in hexadecimal digits. An IPv4 address that is mapped to IPv6 is kept as the IPv4 address.
func keyOfAddress(address netip.Addr) string {
	family := "6"
	if address.Is4() {
		family = "4"
	}
	return family + hex.EncodeToString(address.AsSlice())
}

// keysOfNetwork are the first and the last key of a network's addresses.
func keysOfNetwork(network netip.Prefix) (first, last string) {
	const mapped = 96 // the length of the prefix of IPv4 addresses that are mapped to IPv6
	if network.Addr().Is4In6() && network.Bits() >= mapped {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mapped)
	}
	network = network.Masked()
	end, from := network.Addr().AsSlice(), network.Bits()
	for bit := from; bit < len(end)*8; bit++ {
		end[bit/8] |= 1 << (7 - bit%8)
	}
	lastAddress, _ := netip.AddrFromSlice(end)
	return keyOfAddress(network.Addr()), keyOfAddress(lastAddress)
}
