package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// PowerLoss is a run on SQLite in which the machine loses power: what was written and not flushed is there in part or not
// at all. To kill a process does not show that, because the system keeps what it wrote.
//
// strace records every write, flush and answer of a server. From the record the files are made as they can be on the disk
// at some moment: all that was flushed, and of the rest any part, writes torn at 512 bytes among them. SQLite opens them,
// and every write that had been acknowledged at that moment has to be there. It is a model of a disk: that the
// making and removing of a file is kept in its order is taken for granted, and that a disk does what a flush asks.
type PowerLoss struct {
	Binary, Dir string
	// Writers make Writes requests each; the power is lost at Moments moments of the record.
	Writers, Writes, Moments int
	Seed                     uint64
	// Unflushed ignores flushes of the write-ahead log, as with SQLite's synchronous=OFF (a control).
	Unflushed bool
}

// PowerLossReport is what came of it.
type PowerLossReport struct {
	Acknowledged, Writes, Flushes, Moments int
	// Lost are acknowledged writes that were not there after a loss, Torn what was there by halves.
	Lost, Torn []string
}

// Text is the report as a line.
func (r PowerLossReport) Text() string {
	return fmt.Sprintf("%d writes acknowledged, with %d writes to files and %d flushes; power lost at %d moments: %d lost, %d torn",
		r.Acknowledged, r.Writes, r.Flushes, r.Moments, len(r.Lost), len(r.Torn))
}

// Run does it. An error is a fault of the run itself.
func (p PowerLoss) Run(ctx context.Context) (PowerLossReport, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return PowerLossReport{}, errors.New("strace is missing: apt-get install strace")
	}
	record := filepath.Join(p.Dir, "record")
	if err := p.record(ctx, record); err != nil {
		return PowerLossReport{}, err
	}
	text, err := os.ReadFile(record) //nolint:gosec // in our own directory
	if err != nil {
		return PowerLossReport{}, err
	}
	events, err := readRecord(string(text))
	if err != nil {
		return PowerLossReport{}, err
	}
	report := PowerLossReport{Moments: p.Moments}
	first := 0
	for i, e := range events {
		switch e.kind {
		case answered:
			if report.Acknowledged++; first == 0 {
				first = i
			}
		case flushed:
			report.Flushes++
		default:
			report.Writes++
		}
	}
	if report.Acknowledged == 0 {
		return report, errors.New("the record has no answers")
	}
	random := rand.New(rand.NewPCG(p.Seed, 0)) //nolint:gosec // repeatable
	for moment := range p.Moments {
		at := first + random.IntN(len(events)-first)
		if err := p.lose(ctx, events[:at+1], random, &report); err != nil {
			return report, fmt.Errorf("moment %d: %w", moment, err)
		}
	}
	return report, nil
}

// record lets writers write to a server under strace, and kills it.
func (p PowerLoss) record(ctx context.Context, file string) error {
	server := &Server{Binary: p.Binary, Dir: filepath.Join(p.Dir, "server"), Database: "sqlite://" + filepath.Join(p.Dir, "sessiond.db")}
	server.wrap = []string{"strace", "-f", "-y", "-xx", "-s", "1000000", "-o", file, "-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat"}
	if err := server.Start(ctx); err != nil {
		return err
	}
	client, err := server.client()
	if err != nil {
		return errors.Join(err, server.Kill())
	}
	var writers sync.WaitGroup
	for w := range p.Writers {
		writers.Go(func() {
			for n := 0; n < p.Writes; n += 2 {
				id := fmt.Sprintf("p-%d-%d", w, n)
				_, _ = client.register(ctx, ownTenant, ownUser, id, "X-Request-ID", "register:"+id) // the record knows
				_, _ = client.revoke(ctx, ownTenant, id, "X-Request-ID", "revoke:"+id)
			}
		})
	}
	writers.Wait()
	client.Close()
	family, err := childrenOf(server.cmd.Process.Pid)
	for _, pid := range family {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	_ = server.cmd.Wait() // strace ends as its program did
	return err
}

// lose makes the files as they can be after the events, and looks for what was acknowledged.
func (p PowerLoss) lose(ctx context.Context, events []event, random *rand.Rand, report *PowerLossReport) error {
	dir, err := os.MkdirTemp(p.Dir, "lost-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := disk{random: random, files: map[string]*file{}}
	var acknowledged []string
	for _, e := range events {
		switch {
		case e.kind == answered:
			acknowledged = append(acknowledged, e.name)
		case e.kind == flushed && p.Unflushed && strings.HasSuffix(e.name, "-wal"):
		default:
			d.apply(e)
		}
	}
	if err := d.save(dir); err != nil {
		return err
	}
	database := "sqlite://" + filepath.Join(dir, "sessiond.db")
	if problem := integrity(ctx, database); problem != "" {
		report.Torn = append(report.Torn, "the file: "+problem)
		report.Lost = append(report.Lost, acknowledged...)
		return nil
	}
	left, err := collect(ctx, database)
	if err != nil {
		report.Torn = append(report.Torn, err.Error())
	}
	for id, r := range left {
		if torn := r.torn(); torn != "" {
			report.Torn = append(report.Torn, id+": "+torn)
		}
	}
	for _, name := range acknowledged {
		what, id, _ := strings.Cut(name, ":")
		if r := left[id]; r == nil || what == "revoke" && !r.revoked {
			report.Lost = append(report.Lost, name)
		}
	}
	return nil
}

// integrity is what SQLite says against a file, empty for nothing.
func integrity(ctx context.Context, database string) string {
	db, err := openSQL(database)
	if err != nil {
		return err.Error()
	}
	var says string
	err = scan(ctx, db, "PRAGMA integrity_check", func(row *sql.Rows) error { return row.Scan(&says) })
	switch err = errors.Join(err, db.Close()); {
	case err != nil:
		return err.Error()
	case says != "ok":
		return says
	default:
		return ""
	}
}
