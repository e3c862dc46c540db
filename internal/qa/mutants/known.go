package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"go.yaml.in/yaml/v4"
)

// A survivor is a known one. It is found again by its file, its function and the lines that change, not by line numbers. Where
// a function has the same lines twice, the line before them tells which ones are meant.
type survivor struct {
	File       string `yaml:"file"`
	Function   string `yaml:"function"`
	Follows    string `yaml:"follows"`
	Before     string `yaml:"before"`
	After      string `yaml:"after"`
	Equivalent bool   `yaml:"equivalent"` // no test can notice it
	Reason     string `yaml:"reason"`
}

// register holds the known survivors.
type register []survivor

// readKnown reads them from a file, if one is named.
func readKnown(name string) (register, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // named on the command line
	if err != nil {
		return nil, err
	}
	var known register
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&known); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, s := range known {
		if s.Reason == "" {
			return nil, fmt.Errorf("%s: %s in %s has no reason", name, s.After, s.File)
		}
	}
	return known, nil
}

// find returns the entry of a mutant.
func (r register) find(m Mutant) (survivor, bool) {
	for _, s := range r {
		if s.is(m) {
			return s, true
		}
	}
	return survivor{}, false
}

func (s survivor) is(m Mutant) bool {
	return s.File == m.File && s.Function == m.Function && s.Before == m.Before && s.After == m.After &&
		(s.Follows == "" || s.Follows == m.Follows)
}

// stale returns the entries that are not one mutant, each with what is wrong.
func (r register) stale(ctx context.Context, dir string) ([]string, error) {
	made := map[string][]Mutant{} // by the directory of their package
	var stale []string
	for _, s := range r {
		pkg := path.Dir(s.File)
		if _, loaded := made[pkg]; !loaded && s.exists(dir) {
			mutants, err := load(ctx, dir, []string{"./" + pkg})
			if err != nil {
				return nil, err
			}
			made[pkg] = mutants
		}
		if n := s.among(made[pkg]); n != 1 {
			stale = append(stale, fmt.Sprintf("listed, but %d mutants: %s, %s\n- %s\n+ %s", n, s.File, s.Function, s.Before, s.After))
		}
	}
	return stale, nil
}

func (s survivor) exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, s.File))
	return err == nil
}

// among counts the mutants that are meant.
func (s survivor) among(mutants []Mutant) int {
	n := 0
	for _, m := range mutants {
		if s.is(m) {
			n++
		}
	}
	return n
}
