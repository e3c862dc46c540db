package mutants

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/packages"
)

// load returns every mutant of the packages, in the order of the source.
func load(ctx context.Context, dir string, patterns []string) ([]Mutant, error) {
	const mode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
		packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule
	found, err := packages.Load(&packages.Config{Context: ctx, Mode: mode, Dir: dir}, patterns...)
	if err != nil {
		return nil, err
	}
	var all []Mutant
	for _, pkg := range found {
		if len(pkg.Errors) > 0 {
			return nil, fmt.Errorf("load %s: %w", pkg.PkgPath, pkg.Errors[0])
		}
		if pkg.Module == nil {
			return nil, errors.New("load " + pkg.PkgPath + ": not in a module")
		}
		mutants, err := ofPackage(pkg)
		if err != nil {
			return nil, err
		}
		all = append(all, mutants...)
	}
	return all, nil
}

// ofPackage returns the mutants of a package's files, except generated ones.
func ofPackage(pkg *packages.Package) ([]Mutant, error) {
	var all []Mutant
	for _, file := range pkg.Syntax {
		if ast.IsGenerated(file) {
			continue
		}
		path := pkg.Fset.File(file.Pos()).Name()
		text, err := os.ReadFile(path) //nolint:gosec // a source file of the module
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(pkg.Module.Dir, path)
		if err != nil {
			return nil, err
		}
		s := source{file: pkg.Fset.File(file.Pos()), text: text, info: pkg.TypesInfo}
		for _, m := range s.mutants(file) {
			m.Package, m.File, m.path, m.sequence = pkg.PkgPath, filepath.ToSlash(name), path, len(all)
			all = append(all, m)
		}
	}
	return all, nil
}

// source is a file to change.
type source struct {
	file *token.File
	text []byte
	info *types.Info
}

// of is the text of a node.
func (s source) of(n ast.Node) string { return string(s.text[s.offset(n.Pos()):s.offset(n.End())]) }

func (s source) offset(p token.Pos) int { return s.file.Offset(p) }

// replace replaces a node.
func (s source) replace(n ast.Node, text string) edit {
	return edit{s.offset(n.Pos()), s.offset(n.End()), text}
}

// wrap puts a text before a node and one behind it.
func (s source) wrap(before string, n ast.Node, behind string) []edit {
	start, end := s.offset(n.Pos()), s.offset(n.End())
	return []edit{{start, start, before}, {end, end, behind}}
}

// swap exchanges two nodes.
func (s source) swap(a, b ast.Node) []edit {
	return []edit{s.replace(a, s.of(b)), s.replace(b, s.of(a))}
}

// mutants applies every operator to every node.
func (s source) mutants(file *ast.File) []Mutant {
	var all []Mutant
	ast.PreorderStack(file, nil, func(n ast.Node, stack []ast.Node) bool {
		if _, isImport := n.(*ast.ImportSpec); isImport {
			return false
		}
		for _, o := range operators() {
			for _, edits := range o.find(s, n, stack) {
				all = append(all, s.mutant(o.name, edits, stack))
			}
		}
		return true
	})
	return all
}

// mutant describes a change.
func (s source) mutant(operator string, edits []edit, stack []ast.Node) Mutant {
	m := Mutant{Operator: operator, edits: edits}
	at := edits[0].start
	for _, e := range edits {
		at = min(at, e.start)
	}
	position := s.file.Position(s.file.Pos(at))
	m.Line, m.Column = position.Line, position.Column
	m.Before, m.After = changedLines(s.text, edits)
	m.Follows = lineBefore(s.text, at)
	for _, n := range stack {
		if function, ok := n.(*ast.FuncDecl); ok {
			m.Function = s.nameOf(function)
			m.first, m.last = s.file.Line(function.Pos()), s.file.Line(function.End())
		}
	}
	return m
}

func (s source) nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if _, pointer := receiver.(*ast.StarExpr); pointer {
		return "(" + s.of(receiver) + ")." + function.Name.Name
	}
	return s.of(receiver) + "." + function.Name.Name
}
