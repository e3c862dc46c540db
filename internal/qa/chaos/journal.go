package chaos

import "fmt"

// outcome is what a writer knows of one of its writes.
type outcome uint8

const (
	untried outcome = iota
	// unknown: it was sent, and no answer or an error came back. It may have been carried out or not.
	unknown
	acknowledged
)

// entry is what a writer knows of one of its sessions.
type entry struct {
	register, revoke outcome
	// Of the applications, whose names count from 0, some were tried and the set bits of reached acknowledged.
	tried, reached uint8
	// batch is the number of the revocation, from 1, that was to end several sessions together; 0 for none.
	batch int32
}

// journal is what a writer has done. Its sessions are of one user, and count from 0.
type journal struct {
	writer  int
	entries []entry
	batches int32
	// acknowledged counts writes, answers counts by status, 0 for none.
	acknowledged int
	answers      map[int]int
	// recent are the sessions whose revocation was acknowledged last.
	recent [8]int
	ended  int
	// broken are promises that were seen to be broken at once.
	broken []string
}

func newJournal(writer int) *journal { return &journal{writer: writer, answers: map[int]int{}} }

func (j *journal) tenant() string     { return fmt.Sprintf("tenant-%d", j.writer%4) }
func (j *journal) user() string       { return fmt.Sprintf("user-%d", j.writer) }
func (j *journal) id(n int) string    { return fmt.Sprintf("s-%d-%d", j.writer, n) }
func (j *journal) app(n uint8) string { return fmt.Sprintf("app-%d", n) }

// outcome tells what an answer says of the write; a write may be refused only where an earlier one is in doubt.
func (j *journal) outcome(what string, n int, got answer, err error, inDoubt bool) outcome {
	if err != nil {
		j.answers[0]++
		return unknown
	}
	j.answers[got.status]++
	switch {
	case got.status < 300:
		j.acknowledged++
		return acknowledged
	case got.status >= 500:
		return unknown
	default:
		if !inDoubt {
			j.broken = append(j.broken, fmt.Sprintf("%s of %s: %d %s", what, j.id(n), got.status, got.body))
		}
		return untried
	}
}

// addEnded adds a revocation that was acknowledged just now.
func (j *journal) addEnded(n int) {
	j.recent[j.ended%len(j.recent)] = n
	j.ended++
}

// latest are the sessions whose revocation was acknowledged last.
func (j *journal) latest() []int { return j.recent[:min(j.ended, len(j.recent))] }
