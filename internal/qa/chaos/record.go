package chaos

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// what happens in a record.
type happening int

const (
	wrote happening = iota
	cutTo
	flushed
	removed
	answered
)

// event is one of a record. An answer counts from its beginning, everything else from its end.
type event struct {
	kind happening
	// name is the file's or, of an answer, its request's id.
	name string
	data []byte
	at   int64
}

// The forms of strace -f -y -xx: a call in one line, or in two when another thread comes between.
var (
	callForm    = regexp.MustCompile(`^(\d+) +(pwrite64|write|fsync|fdatasync|ftruncate)\(\d+<([^>]*)>(.*)$`)
	resumedForm = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	unlinkForm  = regexp.MustCompile(`^\d+ +unlink(?:at)?\((?:[^"]*, )?"((?:\\x[0-9a-f]{2})*)".* = 0$`)
	answerForm  = regexp.MustCompile(`(?s)^HTTP/1\.1 2\d\d .*?X-Request-Id: ((?:register|revoke):\S+)\r\n`)
)

// reader reads a record line by line.
type reader struct {
	events []event
	// waiting are calls that have not ended, by thread.
	waiting map[string]event
}

// readRecord reads what happened to the database's files, and the answers.
func readRecord(text string) ([]event, error) {
	r := reader{waiting: map[string]event{}}
	for line := range strings.Lines(text) {
		if err := r.read(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
	}
	return r.events, nil
}

func (r *reader) read(line string) error {
	if resumed := resumedForm.FindStringSubmatch(line); resumed != nil {
		e, found := r.waiting[resumed[1]]
		delete(r.waiting, resumed[1])
		if !found || !succeeded(resumed[3]) {
			return nil
		}
		err := e.offset(resumed[3])
		r.events = append(r.events, e)
		return err
	}
	if unlinked := unlinkForm.FindStringSubmatch(line); unlinked != nil {
		r.events = append(r.events, event{kind: removed, name: filepath.Base(unescape(unlinked[1]))})
		return nil
	}
	line, data := withoutData(line)
	call := callForm.FindStringSubmatch(line)
	if call == nil {
		return nil
	}
	e, ours, err := readCall(call[2], unescape(call[3]), data)
	if err != nil || !ours {
		return err
	}
	if e.kind == answered {
		r.events = append(r.events, e)
		return nil
	}
	err = e.offset(call[4])
	if strings.HasSuffix(line, "<unfinished ...>") {
		r.waiting[call[1]] = e
	} else if succeeded(line) {
		r.events = append(r.events, e)
	}
	return err
}

// withoutData takes what was written out of a line, for which regular expressions are slow.
func withoutData(line string) (rest, data string) {
	head, tail, found := strings.Cut(line, `, "`)
	if !found {
		return line, ""
	}
	data, tail, _ = strings.Cut(tail, `"`)
	return head + tail, data
}

func succeeded(rest string) bool { return !strings.Contains(rest, ") = -1 ") }

// readCall reads a call, and says whether it matters.
func readCall(call, path, escaped string) (event, bool, error) {
	data, err := hex.DecodeString(strings.ReplaceAll(escaped, `\x`, ""))
	if err != nil {
		return event{}, false, err
	}
	if call == "write" {
		found := answerForm.FindSubmatch(data)
		if found == nil {
			return event{}, false, nil
		}
		return event{kind: answered, name: string(found[1])}, true, nil
	}
	e := event{name: filepath.Base(path), data: data, at: -1}
	switch call {
	case "pwrite64":
		e.kind = wrote
	case "ftruncate":
		e.kind = cutTo
	default:
		e.kind, e.at = flushed, 0
	}
	return e, strings.HasPrefix(e.name, "sessiond.db"), nil
}

// offset reads the number that a call has last, where it is still wanting.
func (e *event) offset(rest string) error {
	if e.at >= 0 {
		return nil
	}
	arguments, _, ended := strings.Cut(rest, ")")
	arguments = strings.TrimSuffix(strings.TrimSpace(arguments), "<unfinished ...>")
	numbers := regexp.MustCompile(`-?\d+`).FindAllString(arguments, -1)
	if len(numbers) == 0 {
		if ended {
			return fmt.Errorf("a call without its place: %q", rest)
		}
		return nil
	}
	at, err := strconv.ParseInt(numbers[len(numbers)-1], 10, 64)
	e.at = at
	return err
}

// unescape reads a path, which strace writes as it does data.
func unescape(path string) string {
	if plain, err := hex.DecodeString(strings.ReplaceAll(path, `\x`, "")); err == nil && strings.HasPrefix(path, `\x`) {
		return string(plain)
	}
	return path
}

// file is one on a disk that may lose power.
type file struct {
	kept    []byte
	pending []event
}

// disk keeps what was flushed, and of the rest what chance leaves.
type disk struct {
	random *rand.Rand
	files  map[string]*file
}

func (d *disk) apply(e event) {
	if e.kind == removed {
		delete(d.files, e.name)
		return
	}
	f := d.files[e.name]
	if f == nil {
		f = &file{}
		d.files[e.name] = f
	}
	if e.kind != flushed {
		f.pending = append(f.pending, e)
		return
	}
	for _, w := range f.pending {
		f.write(w)
	}
	f.pending = nil
}

func (f *file) write(e event) {
	end := e.at + int64(len(e.data))
	if e.kind == cutTo {
		f.kept = append(f.kept, make([]byte, max(0, end-int64(len(f.kept))))...)[:end]
		return
	}
	if missing := end - int64(len(f.kept)); missing > 0 {
		f.kept = append(f.kept, make([]byte, missing)...)
	}
	copy(f.kept[e.at:end], e.data)
}

// save writes the files as they are after the loss.
func (d *disk) save(dir string) error {
	for name, f := range d.files {
		if strings.HasSuffix(name, "-shm") {
			continue // shared memory, made anew
		}
		for _, w := range f.pending {
			switch d.random.IntN(3) {
			case 0:
				f.write(w)
			case 1: // torn
				w.data = w.data[:512*d.random.IntN(len(w.data)/512+1)]
				if w.kind == wrote {
					f.write(w)
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), f.kept, 0o600); err != nil {
			return err
		}
	}
	return nil
}
