package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode"

	"github.com/sessiond/sessiond/internal/sanitize"
)

const (
	// logFlushEvery is how long the line of a request may wait, logBuffer how many bytes of them are written at once.
	logFlushEvery = 100 * time.Millisecond
	logBuffer     = 32 << 10
)

// requestLog writes JSON lines. Those of requests, of which there are very many, are written together; every other line is
// written at once, and they before it, so that their order stays.
type requestLog struct {
	slog.Handler
	out *lines
}

// lines is where they wait.
type lines struct {
	out     io.Writer
	mu      sync.Mutex
	waiting []byte
}

// openLog returns a logger, and what ends it: every line is written then.
func openLog(ctx context.Context, out io.Writer, level slog.Level) (logger *slog.Logger, stop func() error) {
	waiting := &lines{out: out, waiting: make([]byte, 0, logBuffer)}
	handler := requestLog{slog.NewJSONHandler(waiting, &slog.HandlerOptions{Level: level}), waiting}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		for sleep(ctx, logFlushEvery) {
			_ = waiting.flush() // there is nowhere to report it
		}
	})
	return slog.New(handler), func() error {
		cancel()
		running.Wait()
		return waiting.flush()
	}
}

// Handle implements slog.Handler.
func (l requestLog) Handle(ctx context.Context, line slog.Record) error {
	err := l.Handler.Handle(ctx, line)
	if err != nil || line.Level <= slog.LevelInfo && line.Message == "request" {
		return err
	}
	return l.out.flush()
}

// WithAttrs implements slog.Handler.
func (l requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLog{l.Handler.WithAttrs(attrs), l.out}
}

// WithGroup implements slog.Handler.
func (l requestLog) WithGroup(name string) slog.Handler {
	return requestLog{l.Handler.WithGroup(name), l.out}
}

// Write takes one line. JSON escapes neither the control characters above ASCII nor those that turn the direction of text, so
// that is done here: what is logged may be of unknown origin.
func (l *lines) Write(line []byte) (int, error) {
	size := len(line)
	if bytes.ContainsFunc(line, func(r rune) bool { return r >= unicode.MaxASCII }) {
		line = sanitize.JSON(line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting)+len(line) > logBuffer {
		if err := l.write(); err != nil {
			return 0, err
		}
	}
	l.waiting = append(l.waiting, line...)
	return size, nil
}

func (l *lines) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write()
}

// write puts out what waits, and forgets it even if that fails: memory must not fill up with what nobody takes.
func (l *lines) write() error {
	if len(l.waiting) == 0 {
		return nil
	}
	_, err := l.out.Write(l.waiting)
	l.waiting = l.waiting[:0]
	return err
}

// sleep waits, and reports whether it is time to go on rather than to end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
