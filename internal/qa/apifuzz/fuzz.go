// Package apifuzz makes requests from the contract, good and bad ones, and holds every answer against it: good requests are
// accepted, bad ones are refused, nothing is an error of the server, and no answer has a status, content type, header or
// body that the contract does not declare.
package apifuzz

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// kind is what a request is, and so what its answer must be.
type kind int

const (
	// good requests fit the contract: what they ask for may be unknown or have ended, but they are not invalid.
	good kind = iota
	// invalid requests break one rule of the contract: 422.
	invalid
	// broken requests cannot be read or do not say who asks: any 4xx.
	broken
	// odd requests are such that the contract does not say: anything declared but an error of the server.
	odd
	kinds
)

func (k kind) String() string { return [...]string{"good", "invalid", "broken", "odd"}[k] }

// Tokens are the callers. Session makes one of a user's session. Jobs are the ids of revocation jobs that are not finished.
type Tokens struct {
	Operator, Service string
	Session           func(tenant, user, session string) string
	Jobs              []string
}

// Fuzz is a run.
type Fuzz struct {
	// Handler is the server, OpenAPI its contract.
	Handler http.Handler
	OpenAPI []byte
	Tokens  Tokens
	// Requests are made one after the other.
	Requests int
	Seed     uint64
}

// Report is what came of it.
type Report struct {
	Requests int
	// Answers counts by operation, kind and status, as in "listSessions good 200".
	Answers map[string]int
	// Failures are answers that break the contract, with their requests.
	Failures []string
}

// Count is how many answers there were of an operation ("" for all), a kind and a class of statuses, as in "2".
func (r Report) Count(operation, kind, class string) int {
	n := 0
	for key, count := range r.Answers {
		parts := strings.Fields(key)
		if (operation == "" || operation == parts[0]) && kind == parts[1] && strings.HasPrefix(parts[2], class) {
			n += count
		}
	}
	return n
}

// Operations are the ids of all operations that were asked for, sorted.
func (r Report) Operations() []string {
	ids := map[string]bool{}
	for key := range r.Answers {
		ids[strings.Fields(key)[0]] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// Text is the report as a line.
func (r Report) Text() string {
	return fmt.Sprintf("%d requests of %d operations: %d good accepted, %d good but unknown or ended, %d invalid refused, %d broken refused; %d failures",
		r.Requests, len(r.Operations()), r.Count("", "good", "2"), r.Count("", "good", "4"), r.Count("", "invalid", "422"),
		r.Count("", "broken", "4"), len(r.Failures))
}

// operation is one of the contract's.
type operation struct {
	*openapi3.Operation
	method, path string
	item         *openapi3.PathItem
}

// operations are those of the contract, in one order.
func operations(document *openapi3.T) []operation {
	var all []operation
	paths := document.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		methods := paths[path].Operations()
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			all = append(all, operation{methods[method], method, path, paths[path]})
		}
	}
	return all
}

// Run does it. An error is a fault of the run itself.
func (f Fuzz) Run() (Report, error) {
	document, err := openapi3.NewLoader().LoadFromData(f.OpenAPI)
	if err != nil {
		return Report{}, err
	}
	report := Report{Answers: map[string]int{}}
	all := operations(document)
	registering := slices.IndexFunc(all, func(o operation) bool { return o.OperationID == "registerSession" })
	g := generator{Rand: rand.New(rand.NewPCG(f.Seed, 0)), tokens: f.Tokens} //nolint:gosec // repeatable
	j := judge{document: document}
	for report.Requests < f.Requests {
		g.made = report.Requests
		o := all[g.IntN(len(all))]
		if g.IntN(6) == 0 {
			o = all[registering] // without sessions there is little to ask for
		}
		k := [...]kind{good, good, good, invalid, invalid, broken, odd}[g.IntN(7)]
		r, possible := g.request(o, k)
		if !possible {
			continue // there is nothing in this operation to get wrong that way
		}
		report.Requests++
		answer, err := send(f.Handler, r)
		if err != nil {
			return report, fmt.Errorf("%s: %w", r, err)
		}
		report.Answers[fmt.Sprintf("%s %s %d", o.OperationID, k, answer.Code)]++
		if err := j.judge(o, k, r, answer); err != nil {
			report.Failures = append(report.Failures, fmt.Sprintf("%s %s: %v\n%s→ %d %s", k, o.OperationID, err, r, answer.Code, answer.Body))
		}
	}
	return report, nil
}
