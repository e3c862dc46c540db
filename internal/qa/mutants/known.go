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

// A survivor is a known one. It is found again by its file, its function and the lines that change, not by line numbers.
type survivor struct {
	File       string `yaml:"file"`
	Function   string `yaml:"function"`
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
	return s.File == m.File && s.Function == m.Function && s.Before == m.Before && s.After == m.After
}

// stale returns the entries that are no mutant any more.
func (r register) stale(ctx context.Context, dir string) ([]survivor, error) {
	made := map[string][]Mutant{} // by the directory of their package
	var stale []survivor
	for _, s := range r {
		pkg := path.Dir(s.File)
		if _, err := os.Stat(filepath.Join(dir, s.File)); errors.Is(err, os.ErrNotExist) {
			stale = append(stale, s)
			continue
		}
		if made[pkg] == nil {
			mutants, err := load(ctx, dir, []string{"./" + pkg})
			if err != nil {
				return nil, err
			}
			made[pkg] = mutants
		}
		if !s.isAmong(made[pkg]) {
			stale = append(stale, s)
		}
	}
	return stale, nil
}

func (s survivor) isAmong(mutants []Mutant) bool {
	for _, m := range mutants {
		if s.is(m) {
			return true
		}
	}
	return false
}
