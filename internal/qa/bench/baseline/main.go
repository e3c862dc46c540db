// Command baseline is what sessiond's speed is held against: the least that a Go program on PostgreSQL can do for the same
// requests. It runs the one SQL statement and writes the bytes. It has no framework, verifies no token, checks no input,
// counts no total and keeps no audit log, so it is no service: it is the cost of HTTP and SQL by themselves.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // a command has no caller
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "baseline: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	url := flag.String("database-url", "", "postgres://USER:PASSWORD@HOST:PORT/NAME")
	conns := flag.Int("database-max-conns", 16, "connections to PostgreSQL")
	flag.Parse()
	config, err := pgxpool.ParseConfig(*url)
	if err != nil {
		return err
	}
	config.MaxConns, config.ConnConfig.RuntimeParams["timezone"] = int32(*conns), "UTC" //nolint:gosec // a handful
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(pool), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).InfoContext(ctx, "serving", "addr", listener.Addr().String())
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

// The columns are those that the contract shows of a session, and those of a list's item.
const (
	whole = `id, user_id, user_email, user_display_name, ip_address, user_agent, device_type, location,
		created_at, last_activity_at, expires_at`
	item = `id, user_id, user_email, ip_address, user_agent, device_type, created_at, last_activity_at, expires_at, app_count`
	page = ` AND end_cause IS NULL AND ends_at > now() ORDER BY created_at DESC, id DESC LIMIT 20`
)

func routes(pool *pgxpool.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /get/{tenant}/{id}",
		query(pool, `SELECT `+whole+` FROM sessions WHERE tenant_id = $1 AND id = $2`, "tenant", "id"))
	mux.HandleFunc("GET /tenant/{tenant}",
		query(pool, `SELECT `+item+` FROM sessions WHERE tenant_id = $1`+page, "tenant"))
	mux.HandleFunc("GET /user/{tenant}/{user}",
		query(pool, `SELECT `+item+` FROM sessions WHERE tenant_id = $1 AND user_id = $2`+page, "tenant", "user"))
	mux.HandleFunc("GET /partner/{partner}",
		query(pool, `SELECT `+item+` FROM sessions WHERE partner_id = $1`+page, "partner"))
	mux.HandleFunc("POST /revoke/{tenant}/{id}", execute(pool, `
		UPDATE sessions SET revoked_at = now(), end_cause = 'revoked', ended_by_sub = 'bench', ended_by_client = 'bench',
			end_reason = '' WHERE tenant_id = $1 AND id = $2 AND end_cause IS NULL AND ends_at > now()`))
	mux.HandleFunc("POST /activity/{tenant}/{id}", execute(pool, `
		UPDATE sessions SET last_activity_at = now()
		WHERE tenant_id = $1 AND id = $2 AND end_cause IS NULL AND ends_at > now()`))
	mux.HandleFunc("POST /register", register(pool))
	return mux
}

// query answers with the rows of a statement whose parameters are parts of the path.
func query(pool *pgxpool.Pool, statement string, names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		args := make([]any, len(names))
		for i, name := range names {
			args[i] = r.PathValue(name)
		}
		rows, err := pool.Query(r.Context(), statement, args...)
		if err != nil {
			fail(w, err)
			return
		}
		body, err := appendRows(make([]byte, 0, 16<<10), rows)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body))) // spares the chunks
		_, _ = w.Write(body)                                      //nolint:gosec // JSON of rows that the benchmark made
	}
}

// execute changes the one row that the path names.
func execute(pool *pgxpool.Pool, statement string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		changed, err := pool.Exec(r.Context(), statement, r.PathValue("tenant"), r.PathValue("id"))
		switch {
		case err != nil:
			fail(w, err)
		case changed.RowsAffected() != 1:
			http.Error(w, "no such session", http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

// registration is the body of a registration.
type registration struct {
	ID              string    `json:"id"`
	TenantID        string    `json:"tenant_id"`
	UserID          string    `json:"user_id"`
	PartnerID       *string   `json:"partner_id"`
	UserEmail       string    `json:"user_email"`
	UserDisplayName string    `json:"user_display_name"`
	IPAddress       string    `json:"ip_address"`
	UserAgent       string    `json:"user_agent"`
	ExpiresAt       time.Time `json:"expires_at"`
}

// register inserts the session of the body, the same body that sessiond gets.
func register(pool *pgxpool.Pool) http.HandlerFunc {
	const statement = `
		INSERT INTO sessions (tenant_id, id, user_id, partner_id, user_email, user_display_name, ip_address, user_agent,
			device_type, created_at, expires_at, ends_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'desktop', now(), $9, $9)`
	return func(w http.ResponseWriter, r *http.Request) {
		var s registration
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			fail(w, err)
			return
		}
		_, err := pool.Exec(r.Context(), statement, s.TenantID, s.ID, s.UserID, s.PartnerID, s.UserEmail, s.UserDisplayName,
			s.IPAddress, s.UserAgent, s.ExpiresAt)
		if err != nil {
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

func fail(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
