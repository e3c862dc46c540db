package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Owner is the role that owns the databases of tests: row-level security restricts it, as it would not a superuser.
const Owner = "sessiond_owner"

// MakeOwner makes that role on a server, if it is not there yet.
func MakeOwner(ctx context.Context, serverURL *url.URL) (*url.Userinfo, error) {
	// Another process may make it at the same time: then it is there.
	err := Do(ctx, serverURL.String(), "DO $$ BEGIN CREATE ROLE "+Owner+" LOGIN PASSWORD '"+Owner+"'; "+
		"EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
	return url.UserPassword(Owner, Owner), err
}

// Credential is the user that runs PostgreSQL and PgBouncer, which refuse to run as root: this one (nil) or, for root, the
// user postgres of Debian's package, to whom the directory is given.
func Credential(dir string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // no other user
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root the tests need the user postgres to run PostgreSQL: %w", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
