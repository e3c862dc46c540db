package mutants

import (
	"go/ast"
	"go/token"
	"go/types"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An operator finds the changes of one kind at a node; each is a set of edits. The stack holds the nodes around it, outermost
// first.
type operator struct {
	name string
	find func(s source, n ast.Node, stack []ast.Node) [][]edit
}

// operators returns all of them. Each makes a program that compiles, nearly always.
func operators() []operator {
	return []operator{
		{"negate", negate},
		{"boundary", boundary},
		{"logic", logic},
		{"boolean", boolean},
		{"constant", constant},
		{"remove", remove},
		{"swallow-error", swallowError},
		{"swap-arguments", swapArguments},
		{"swap-fields", swapFields},
		{"drop-condition", dropCondition},
		{"sql-columns", inSQL(sqlText.swappedColumns)},
		{"sql-condition", inSQL(sqlText.droppedConditions)},
		{"sql-comparison", inSQL(sqlText.turnedComparisons)},
		{"sql-order", inSQL(sqlText.turnedOrders)},
		{"sql-null", inSQL(sqlText.turnedNulls)},
	}
}

// one is the result of an operator that changes one thing.
func one(edits ...edit) [][]edit { return [][]edit{edits} }

// negate turns a condition: of an if statement, an operand of && and ||, and a comparison for equality or order wherever it is.
func negate(s source, n ast.Node, stack []ast.Node) [][]edit {
	if comparison, ok := n.(*ast.BinaryExpr); ok {
		opposite, ok := opposites()[comparison.Op]
		if !ok || swallows(s, parent(stack)) != nil {
			return nil // not a comparison; or swallow-error does it
		}
		return one(s.operator(comparison, opposite))
	}
	condition, ok := n.(ast.Expr)
	if !ok || !isCondition(condition, parent(stack)) || swallows(s, parent(stack)) != nil {
		return nil
	}
	switch condition := condition.(type) {
	case *ast.ParenExpr:
		return nil // what is in it is changed
	case *ast.UnaryExpr:
		return one(s.replace(condition, s.of(condition.X)))
	default:
		return [][]edit{s.wrap("!", condition, "")}
	}
}

func opposites() map[token.Token]token.Token {
	return map[token.Token]token.Token{
		token.EQL: token.NEQ, token.NEQ: token.EQL,
		token.LSS: token.GEQ, token.GEQ: token.LSS, token.GTR: token.LEQ, token.LEQ: token.GTR,
	}
}

// isCondition tells whether an expression decides something at its place.
func isCondition(e ast.Expr, parent ast.Node) bool {
	switch parent := parent.(type) {
	case *ast.IfStmt:
		return parent.Cond == e
	case *ast.BinaryExpr:
		return parent.Op == token.LAND || parent.Op == token.LOR
	}
	return false
}

func parent(stack []ast.Node) ast.Node {
	if len(stack) == 0 {
		return nil
	}
	return stack[len(stack)-1]
}

// operator replaces the operator of a binary expression.
func (s source) operator(e *ast.BinaryExpr, with token.Token) edit {
	start := s.offset(e.OpPos)
	return edit{start, start + len(e.Op.String()), with.String()}
}

// boundary lets a comparison of order include its limit, or leave it out.
func boundary(s source, n ast.Node, _ []ast.Node) [][]edit {
	comparison, ok := n.(*ast.BinaryExpr)
	if !ok {
		return nil
	}
	neighbors := map[token.Token]token.Token{
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	}
	if neighbor, ok := neighbors[comparison.Op]; ok {
		return one(s.operator(comparison, neighbor))
	}
	return nil
}

// logic exchanges && and ||.
func logic(s source, n ast.Node, _ []ast.Node) [][]edit {
	e, ok := n.(*ast.BinaryExpr)
	switch {
	case ok && e.Op == token.LAND:
		return one(s.operator(e, token.LOR))
	case ok && e.Op == token.LOR:
		return one(s.operator(e, token.LAND))
	}
	return nil
}

// boolean exchanges true and false.
func boolean(s source, n ast.Node, _ []ast.Node) [][]edit {
	name, ok := n.(*ast.Ident)
	if !ok || s.info.Uses[name] == nil || s.info.Uses[name].Parent() != types.Universe {
		return nil
	}
	switch name.Name {
	case "true":
		return one(s.replace(name, "false"))
	case "false":
		return one(s.replace(name, "true"))
	}
	return nil
}

// constant makes an integer one more and one less, except the length of an array and the capacity of a made slice or map: one
// less does not run and one more is not noticed; and except what is returned beside an error, which nobody looks at.
func constant(s source, n ast.Node, stack []ast.Node) [][]edit {
	literal, ok := n.(*ast.BasicLit)
	if !ok || literal.Kind != token.INT || isCapacity(literal, parent(stack)) || isLength(literal, parent(stack)) ||
		s.isBesideError(stack) {
		return nil
	}
	value, err := strconv.ParseInt(literal.Value, 0, 64)
	if err != nil {
		return nil
	}
	var all [][]edit
	for _, other := range []int64{value + 1, value - 1} {
		if s.representable(other, literal, parent(stack)) {
			all = append(all, one(s.replace(literal, strconv.FormatInt(other, 10)))...)
		}
	}
	return all
}

// representable tells whether a constant may stand in the place of another: it must be in the range of its type, and no index
// is below zero.
func (s source) representable(value int64, literal ast.Expr, parent ast.Node) bool {
	switch parent := parent.(type) {
	case *ast.IndexExpr:
		return value >= 0 || parent.Index != literal
	case *ast.SliceExpr:
		return value >= 0
	}
	basic, ok := s.info.TypeOf(literal).Underlying().(*types.Basic)
	switch {
	case !ok:
		return true
	case basic.Kind() == types.Uint8:
		return value >= 0 && value <= math.MaxUint8
	}
	return value >= 0 || basic.Info()&types.IsUnsigned == 0
}

// isBesideError tells whether the nodes around one are a return statement, in a branch that is taken when there is an error and
// for no other reason.
func (s source) isBesideError(stack []ast.Node) bool {
	if len(stack) < 3 {
		return false
	}
	if _, ok := parent(stack).(*ast.ReturnStmt); !ok {
		return false
	}
	branch := swallows(s, stack[len(stack)-3])
	if branch == nil {
		return false
	}
	condition, ok := branch.Cond.(*ast.BinaryExpr)
	return ok && condition.Op == token.NEQ && types.Implements(s.info.TypeOf(condition.X), errorType())
}

func isCapacity(literal ast.Expr, parent ast.Node) bool {
	call, ok := parent.(*ast.CallExpr)
	if !ok || called(call) != "make" {
		return false
	}
	_, slice := call.Args[0].(*ast.ArrayType)
	return slices.Index(call.Args, literal) == 2 || !slice
}

func isLength(literal ast.Expr, parent ast.Node) bool {
	array, ok := parent.(*ast.ArrayType)
	return ok && array.Len == literal
}

// remove leaves out a statement that is run for its effect: a call, an assignment to something declared before, an increment.
// It stays in the text where it is never reached, so that what it names is still used. Deferred calls are left alone: what
// they release is seldom missed by a test, or misses until the time is up.
func remove(s source, n ast.Node, stack []ast.Node) [][]edit {
	switch parent(stack).(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
	default:
		return nil
	}
	switch statement := n.(type) {
	case *ast.ExprStmt:
		call, ok := statement.X.(*ast.CallExpr)
		if !ok || called(call) == "panic" {
			return nil
		}
	case *ast.AssignStmt:
		if statement.Tok == token.DEFINE || !slices.ContainsFunc(statement.Lhs, isNamed) || isComm(n, parent(stack)) {
			return nil
		}
	case *ast.IncDecStmt:
	default:
		return nil
	}
	return [][]edit{s.wrap("if false { ", n, " }")}
}

// isComm tells whether a statement is the communication of a select's case.
func isComm(n, parent ast.Node) bool {
	clause, ok := parent.(*ast.CommClause)
	return ok && clause.Comm == n
}

func isNamed(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return !ok || name.Name != "_"
}

// called is the name of the function that is called, without its package or receiver.
func called(call *ast.CallExpr) string {
	switch function := call.Fun.(type) {
	case *ast.Ident:
		return function.Name
	case *ast.SelectorExpr:
		return function.Sel.Name
	}
	return ""
}

// swallowError never takes a branch that returns an error.
func swallowError(s source, n ast.Node, _ []ast.Node) [][]edit {
	if statement := swallows(s, n); statement != nil {
		return [][]edit{s.wrap("false && (", statement.Cond, ")")}
	}
	return nil
}

// swallows returns the if statement that a node is, if its branch ends by returning an error.
func swallows(s source, n ast.Node) *ast.IfStmt {
	statement, ok := n.(*ast.IfStmt)
	if !ok || len(statement.Body.List) == 0 {
		return nil
	}
	last, ok := statement.Body.List[len(statement.Body.List)-1].(*ast.ReturnStmt)
	if !ok || len(last.Results) == 0 {
		return nil
	}
	result := s.info.TypeOf(last.Results[len(last.Results)-1])
	if result == nil || result == types.Typ[types.UntypedNil] || !types.Implements(result, errorType()) {
		return nil
	}
	return statement
}

func errorType() *types.Interface {
	return types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
}

// swapArguments exchanges two neighboring arguments of one type, unless the order of the arguments does not matter.
func swapArguments(s source, n ast.Node, _ []ast.Node) [][]edit {
	call, ok := n.(*ast.CallExpr)
	if !ok || slices.Contains([]string{"make", "min", "max", "Equal", "EqualFold", "ContainsAny", "ConstantTimeCompare"}, called(call)) {
		return nil
	}
	var all [][]edit
	for i := 1; i < len(call.Args); i++ {
		if s.exchangeable(call.Args[i-1], call.Args[i]) && !s.isListed(call, i) && !s.isTemplate(call, i) &&
			(i < len(call.Args)-1 || !call.Ellipsis.IsValid()) {
			all = append(all, s.swap(call.Args[i-1], call.Args[i]))
		}
	}
	return all
}

// isListed tells whether an argument and the one before it are constants of a variadic parameter: mostly names of which one is to
// be found, in any order.
func (s source) isListed(call *ast.CallExpr, i int) bool {
	signature, ok := s.info.TypeOf(call.Fun).(*types.Signature)
	return ok && signature.Variadic() && i >= signature.Params().Len() &&
		s.info.Types[call.Args[i-1]].Value != nil && s.info.Types[call.Args[i]].Value != nil
}

// isTemplate tells whether the argument before one is a text with placeholders, as a query or a format is, that what follows
// is put into: nobody takes one for the other, and a statement that is no SQL fails in every test.
func (s source) isTemplate(call *ast.CallExpr, i int) bool {
	signature, ok := s.info.TypeOf(call.Fun).(*types.Signature)
	if !ok || !signature.Variadic() || i != signature.Params().Len()-1 {
		return false
	}
	text := s.of(call.Args[i-1])
	if value := s.info.Types[call.Args[i-1]].Value; value != nil {
		text = value.String()
	}
	return strings.ContainsAny(text, "?%")
}

// swapFields exchanges the values of two neighboring fields of one type in the literal of a struct or map.
func swapFields(s source, n ast.Node, _ []ast.Node) [][]edit {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	_, isStruct := s.info.TypeOf(literal).Underlying().(*types.Struct)
	var all [][]edit
	for i := 1; i < len(literal.Elts); i++ {
		a, keyed := literal.Elts[i-1].(*ast.KeyValueExpr)
		b, ok := literal.Elts[i].(*ast.KeyValueExpr)
		switch {
		case keyed && ok && s.exchangeable(a.Value, b.Value):
			all = append(all, s.swap(a.Value, b.Value))
		case !keyed && isStruct && s.exchangeable(literal.Elts[i-1], literal.Elts[i]):
			all = append(all, s.swap(literal.Elts[i-1], literal.Elts[i]))
		}
	}
	return all
}

// exchangeable tells whether two expressions are of one type and not the same.
func (s source) exchangeable(a, b ast.Expr) bool {
	left, right := s.info.TypeOf(a), s.info.TypeOf(b)
	return left != nil && right != nil && types.Identical(types.Default(left), types.Default(right)) && s.of(a) != s.of(b)
}

// dropCondition leaves a call out of a chain that builds a query, as GORM's are: db.Where(…).Order(…).
func dropCondition(s source, n ast.Node, _ []ast.Node) [][]edit {
	call, ok := n.(*ast.CallExpr)
	if !ok || !s.buildsQuery(call) {
		return nil
	}
	receiver := call.Fun.(*ast.SelectorExpr).X
	return one(edit{s.offset(receiver.End()), s.offset(call.End()), ""})
}

// buildsQuery tells whether a call is a method that narrows or orders a query and returns what it is called on.
func (s source) buildsQuery(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	narrowing := []string{"Where", "Or", "Not", "Having", "Order", "Limit", "Offset", "Joins", "Select", "Omit", "Clauses", "Scopes"}
	if !ok || !slices.Contains(narrowing, selector.Sel.Name) {
		return false
	}
	receiver, result := s.info.TypeOf(selector.X), s.info.TypeOf(call)
	return receiver != nil && result != nil && types.Identical(receiver, result)
}
