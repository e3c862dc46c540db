package chaos

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sessiond/sessiond/internal/qa/pgtest"
)

// cut is where a connection breaks off.
type cut int

const (
	whole cut = iota
	// beforeCommit: the commit does not reach the server.
	beforeCommit
	// afterCommit: the server commits, and its reply is lost.
	afterCommit
)

// Proxy stands between sessiond and PostgreSQL, and cuts the next connection that commits a write.
type Proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	next     cut
	cuts     int
	open     map[net.Conn]bool
	relays   sync.WaitGroup
}

// NewProxy listens in a directory of its own for a server.
func NewProxy(dir string, server *Postgres) (*Proxy, error) {
	listener, err := net.Listen("unix", filepath.Join(dir, pgtest.SocketName)) //nolint:noctx // it is closed by Close
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: filepath.Join(server.Dir, pgtest.SocketName), open: map[net.Conn]bool{}}
	p.relays.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.relays.Go(func() { p.relay(client) })
		}
	})
	return p, nil
}

// Close ends the proxy and all connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		_ = c.Close() // the relay says nothing more either
	}
	p.mu.Unlock()
	p.relays.Wait()
	return err
}

// arm makes the next commit a cut.
func (p *Proxy) arm(at cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = at
}

// fired is how many connections were cut.
func (p *Proxy) fired() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// take is what is to happen to this commit.
func (p *Proxy) take() cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.next
	if at != whole {
		p.next = whole
		p.cuts++
	}
	return at
}

func (p *Proxy) track(c net.Conn, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if open {
		p.open[c] = true
	} else {
		delete(p.open, c)
		_ = c.Close() // both ends go together, and whoever is second finds it closed
	}
}

func (p *Proxy) relay(client net.Conn) {
	server, err := net.Dial("unix", p.target) //nolint:noctx // local, and closed below
	if err != nil {
		_ = client.Close() // PostgreSQL is not there
		return
	}
	p.track(client, true)
	p.track(server, true)
	c := &conversation{proxy: p, writes: map[string]bool{}}
	var back sync.WaitGroup
	back.Go(func() {
		c.answers(server, client)
		p.track(client, false)
	})
	c.requests(client, server)
	p.track(server, false)
	back.Wait()
	p.track(client, false)
}

// conversation is one connection, as far as commits go (PostgreSQL's protocol, version 3).
type conversation struct {
	proxy *Proxy
	// writes says which prepared statements write.
	writes map[string]bool
	// writing: the statements since the last Sync, or in this transaction, write.
	writing, transaction bool
	mu                   sync.Mutex
	silent               bool
}

// message reads one; the very first of a client has no type.
func message(from io.Reader, typed bool) ([]byte, error) {
	before := 0
	if typed {
		before = 1
	}
	head := make([]byte, before+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[before:])
	if size < 4 || size > 1<<26 {
		return nil, errors.New("no message of the protocol")
	}
	body := make([]byte, size-4)
	_, err := io.ReadFull(from, body)
	return append(head, body...), err
}

// requests passes on what the client says, up to a cut.
func (c *conversation) requests(client, server net.Conn) {
	for typed := false; ; typed = true {
		m, err := message(client, typed)
		if err != nil {
			return
		}
		if typed && c.commits(m) {
			switch c.proxy.take() {
			case beforeCommit:
				return
			case afterCommit:
				c.mu.Lock()
				c.silent = true
				c.mu.Unlock()
			case whole:
			}
		}
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

// commits reports whether a message makes a write permanent.
func (c *conversation) commits(m []byte) bool {
	body := m[5:]
	switch m[0] {
	case 'P': // Parse: name, text
		name, text, _ := bytes.Cut(body, []byte{0})
		c.writes[string(name)] = writes(string(text))
	case 'B': // Bind: portal, name
		_, rest, _ := bytes.Cut(body, []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		c.writing = c.writing || c.writes[string(name)]
	case 'Q': // simple query
		text := strings.ToLower(string(bytes.TrimRight(body, "\x00")))
		switch {
		case strings.HasPrefix(text, "begin"):
			c.transaction, c.writing = true, false
		case strings.HasPrefix(text, "commit"):
			commits := c.writing
			c.transaction, c.writing = false, false
			return commits
		case strings.HasPrefix(text, "rollback"):
			c.transaction, c.writing = false, false
		}
	case 'S': // Sync: the end of statements that are a transaction of their own
		if !c.transaction {
			commits := c.writing
			c.writing = false
			return commits
		}
	}
	return false
}

// writes reports whether a statement is one of a request that changes sessions. The maintenance jobs send others.
func writes(text string) bool {
	text = strings.ToLower(text)
	for _, word := range []string{"insert into sessions", "update sessions", `insert into "session`, `update "session`, "insert into session_apps"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// answers passes on what the server says. After a cut it waits for the end of the answer, and drops it.
func (c *conversation) answers(server, client net.Conn) {
	for {
		m, err := message(server, true)
		if err != nil {
			return
		}
		c.mu.Lock()
		silent := c.silent
		c.mu.Unlock()
		if silent && m[0] == 'Z' { // ReadyForQuery: it is done
			return
		}
		if silent {
			continue
		}
		if _, err := client.Write(m); err != nil {
			return
		}
	}
}
