package mutants

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// sqlText is SQL, or a part of a statement, in the spelling of a Go string literal. Keywords are written in capitals.
type sqlText struct {
	source string
	tokens []sqlToken
}

// A sqlToken is a word, number, string, operator, parenthesis or comma.
type sqlToken struct{ start, end int }

// tokenPattern matches one token, or a comment, or what separates tokens (also escaped in a Go literal).
func tokenPattern() *regexp.Regexp {
	return regexp.MustCompile(`--[^\n]*|\s+|\\[nt]|'[^']*'|[\w.$%"\\]+|@\w+|[<>=!|&#~:*/+@-]+|[^\w\s]`)
}

// parseSQL splits a text into tokens.
func parseSQL(source string) sqlText {
	t := sqlText{source: source}
	for _, found := range tokenPattern().FindAllStringIndex(source, -1) {
		text := source[found[0]:found[1]]
		if strings.TrimSpace(text) != "" && !strings.HasPrefix(text, "--") && text != `\n` && text != `\t` {
			t.tokens = append(t.tokens, sqlToken{found[0], found[1]})
		}
	}
	return t
}

func (t sqlText) token(i int) string {
	if i < 0 || i >= len(t.tokens) {
		return ""
	}
	return t.source[t.tokens[i].start:t.tokens[i].end]
}

// span is the text of the tokens from first to last, without last.
type span struct{ first, last int }

func (t sqlText) of(s span) string {
	return t.source[t.tokens[s.first].start:t.tokens[s.last-1].end]
}

func (t sqlText) replace(s span, with string) edit {
	return edit{t.tokens[s.first].start, t.tokens[s.last-1].end, with}
}

// inSQL makes an operator of one that changes SQL: it looks at the string literals that hold some.
func inSQL(find func(sqlText) [][]edit) func(source, ast.Node, []ast.Node) [][]edit {
	return func(s source, n ast.Node, stack []ast.Node) [][]edit {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING || !isSQL(literal.Value) && !s.isCondition(literal, parent(stack)) {
			return nil
		}
		all := find(parseSQL(literal.Value[1 : len(literal.Value)-1]))
		for _, edits := range all {
			for i := range edits {
				edits[i].start += s.offset(literal.Pos()) + 1
				edits[i].end += s.offset(literal.Pos()) + 1
			}
		}
		return all
	}
}

// isSQL tells whether a literal has the words of a statement or of a condition, or is a list of columns.
func isSQL(literal string) bool {
	words := `\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|FROM|WHERE|AND|OR|SET|VALUES|RETURNING|ORDER BY|IS (NOT )?NULL|ASC|DESC|JOIN)\b`
	return regexp.MustCompile(words+`|\w (=|<>|!=|<=?|>=?) [?$@]`).MatchString(literal) ||
		regexp.MustCompile(`^.\s*[a-z]+_[a-z_]+(, [a-z_]+)+\s*.$`).MatchString(literal)
}

// isCondition tells whether a literal is given to a method that builds a query.
func (s source) isCondition(literal *ast.BasicLit, parent ast.Node) bool {
	call, ok := parent.(*ast.CallExpr)
	return ok && call.Fun != literal && s.buildsQuery(call)
}

// A list is what stands between commas at one place of a statement.
type list struct {
	clause string // the keyword before it, or columns, or call
	named  bool   // what it selects is read by its names: it is a common table expression, or a subquery with an alias
	items  []span
}

// level is what is open while a statement is read: the statement itself, or a parenthesis.
type level struct {
	list

	first int // of the item under way
}

// lists finds every list of a text. An item is left out when the text ends inside one of its parentheses.
func (t sqlText) lists() []list {
	var all []list
	open := []level{{}}
	finish := func(l *level, end int) {
		if end > l.first {
			l.items = append(l.items, span{l.first, end})
		}
		if len(l.items) > 1 {
			all = append(all, l.list)
		}
		l.items, l.first = nil, end+1
	}
	for i := range t.tokens {
		top := &open[len(open)-1]
		switch word := t.token(i); {
		case word == "(":
			open = append(open, level{list{clause: t.opened(i, top.clause), named: t.token(i-1) == "AS"}, i + 1})
		case word == ")":
			finish(top, i)
			if open = open[:len(open)-1]; len(open) == 0 {
				open = []level{{list{clause: "unknown"}, i + 1}}
			}
		case word == ",":
			if i > top.first {
				top.items = append(top.items, span{top.first, i})
			}
			top.first = i + 1
		case t.beginsClause(i):
			finish(top, i)
			top.clause = word
			top.named = top.named && word != "INTO" && word != "UNION" || word == "RETURNING" && len(open) > 1
		}
	}
	for i := range open {
		end := len(t.tokens)
		if i < len(open)-1 {
			end = open[i].first // its last item is not complete
		}
		finish(&open[i], end)
	}
	return all
}

// opened is what a parenthesis holds.
func (t sqlText) opened(i int, clause string) string {
	before := t.token(i - 1)
	switch {
	case clause == "INTO" || clause == "WITH":
		return "columns"
	case before == "VALUES" || before == "," && clause == "VALUES":
		return "VALUES"
	case before == "COALESCE" || regexp.MustCompile(`^[a-z_][\w.]*$`).MatchString(before) && before != "greatest" && before != "least":
		return "call"
	}
	return before
}

// beginsClause tells whether a token is a keyword that ends what stands before it.
func (t sqlText) beginsClause(i int) bool {
	clauses := []string{
		"SELECT", "DISTINCT", "FROM", "WHERE", "SET", "VALUES", "RETURNING", "BY", "ORDER", "GROUP", "PARTITION", "LIMIT", "OFFSET",
		"ON", "JOIN", "LEFT", "INNER", "CROSS", "USING", "HAVING", "UNION", "WITH", "INTO", "UPDATE", "DELETE", "INSERT", "DO",
		"FOR", "WHEN", "THEN", "ELSE", "END", "CASE",
	}
	return slices.Contains(clauses, t.token(i)) &&
		(t.token(i) != "FROM" && t.token(i) != "DISTINCT" || !slices.Contains([]string{"DISTINCT", "NOT", "IS"}, t.token(i-1)))
}

// swappedColumns exchanges neighbors of lists whose order matters: not two columns that are read by their names. Of expressions
// with an alias the expressions are exchanged, of assignments the values.
func (t sqlText) swappedColumns() [][]edit {
	var all [][]edit
	for _, l := range t.lists() {
		if !slices.Contains([]string{"", "columns", "call", "VALUES", "SELECT", "DISTINCT", "RETURNING", "SET"}, l.clause) {
			continue
		}
		for i := 1; i < len(l.items); i++ {
			a, b := t.exchangeable(l.items[i-1], l.items[i], l.clause)
			if l.named && t.isColumn(a) && t.isColumn(b) {
				continue
			}
			if a.last > a.first && b.last > b.first && t.of(a) != t.of(b) {
				all = append(all, []edit{t.replace(a, t.of(b)), t.replace(b, t.of(a))})
			}
		}
	}
	return all
}

// isColumn tells whether a span is the name of a column and nothing else.
func (t sqlText) isColumn(s span) bool {
	return s.last == s.first+1 && regexp.MustCompile(`^([a-z_]+\.)?([a-z_]+|\*)$`).MatchString(t.of(s))
}

// exchangeable narrows two neighbors to what is exchanged.
func (t sqlText) exchangeable(a, b span, clause string) (span, span) {
	firstEquals, secondEquals := t.find(a, "="), t.find(b, "=")
	firstAs, secondAs := t.find(a, "AS"), t.find(b, "AS")
	switch {
	case firstEquals > 0 && secondEquals > 0 && (clause == "SET" || clause == ""):
		return span{firstEquals + 1, a.last}, span{secondEquals + 1, b.last}
	case clause == "SET":
		return span{}, span{}
	case firstAs > 0 && secondAs > 0:
		return span{a.first, firstAs}, span{b.first, secondAs}
	}
	return a, b
}

// find is the index of a word of a span outside parentheses, or 0.
func (t sqlText) find(s span, word string) int {
	depth := 0
	for i := s.first; i < s.last; i++ {
		switch text := t.token(i); {
		case text == "(":
			depth++
		case text == ")":
			depth--
		case text == word && depth == 0 && i > s.first:
			return i
		}
	}
	return 0
}

// droppedConditions makes each condition that is joined by AND, or stands alone after WHERE, ON or HAVING, true. Its
// parameters stay, so that the statement still fits its arguments.
func (t sqlText) droppedConditions() [][]edit {
	var all [][]edit
	for _, s := range t.conditions() {
		start, end := t.tokens[s.first].start, t.tokens[s.last-1].end
		all = append(all, []edit{{start, start, "("}, {end, end, " OR 1 = 1)"}})
	}
	return all
}

// chain is a level of parentheses while conditions are read.
type chain struct {
	first   int    // of the condition under way
	since   string // the word before it
	between bool   // the next AND belongs to BETWEEN
}

// conditions finds the conditions that narrow what a statement is about.
func (t sqlText) conditions() []span {
	var all []span
	open := []chain{{}}
	// finish ends the condition under way; then says what ends it.
	finish := func(c *chain, end int, then string) {
		narrows := slices.Contains([]string{"WHERE", "HAVING", "AND", "ON"}, c.since) || then == "AND" && c.since != "OR"
		if narrows && end > c.first && t.token(c.first) != "CONFLICT" {
			all = append(all, span{c.first, end})
		}
		*c = chain{first: end + 1, since: then}
	}
	for i := range t.tokens {
		top := &open[len(open)-1]
		switch word := t.token(i); {
		case word == "(":
			open = append(open, chain{first: i + 1, since: "("})
		case word == ")":
			finish(top, i, word)
			if open = open[:len(open)-1]; len(open) == 0 {
				open = []chain{{first: i + 1, since: "unknown"}}
			}
		case word == "BETWEEN":
			top.between = true
		case word == "AND" && top.between:
			top.between = false
		case word == "AND" || word == "OR" || t.beginsClause(i):
			finish(top, i, word)
		}
	}
	if len(open) == 1 {
		finish(&open[0], len(t.tokens), "")
	} // else the condition under way is not complete
	return all
}

// turnedComparisons turns what is compared, but not what SET assigns.
func (t sqlText) turnedComparisons() [][]edit {
	turned := map[string][]string{
		"=": {"<>"}, "<>": {"="}, "!=": {"="}, "<": {"<=", ">"}, "<=": {"<", ">="}, ">": {">=", "<"}, ">=": {">", "<="},
	}
	assignments := t.assignments()
	var all [][]edit
	for i := range t.tokens {
		for _, operator := range turned[t.token(i)] {
			if !assignments[i] {
				all = append(all, []edit{t.replace(span{i, i + 1}, operator)})
			}
		}
	}
	return all
}

// assignments are the equals signs of SET.
func (t sqlText) assignments() map[int]bool {
	found := map[int]bool{}
	clauses := []string{""}
	assigned := false // the item under way has its equals sign
	for i := range t.tokens {
		top := len(clauses) - 1
		switch word := t.token(i); {
		case word == "(":
			clauses = append(clauses, "(")
		case word == ")" && top > 0:
			clauses = clauses[:top]
		case word == "," && (clauses[top] == "SET" || i == 0):
			clauses[top], assigned = "SET", false
		case t.beginsClause(i):
			clauses[top], assigned = word, false
		case word == "=" && clauses[top] == "SET" && !assigned:
			found[i], assigned = true, true
		}
	}
	return found
}

// turnedOrders exchanges ASC and DESC.
func (t sqlText) turnedOrders() [][]edit { return t.exchanged("ASC", "DESC") }

func (t sqlText) exchanged(a, b string) [][]edit {
	var all [][]edit
	for i := range t.tokens {
		switch t.token(i) {
		case a:
			all = append(all, []edit{t.replace(span{i, i + 1}, b)})
		case b:
			all = append(all, []edit{t.replace(span{i, i + 1}, a)})
		}
	}
	return all
}

// turnedNulls exchanges IS NULL and IS NOT NULL.
func (t sqlText) turnedNulls() [][]edit {
	var all [][]edit
	for i := range t.tokens {
		switch {
		case t.token(i) != "IS":
		case t.token(i+1) == "NULL":
			all = append(all, []edit{t.replace(span{i, i + 2}, "IS NOT NULL")})
		case t.token(i+1) == "NOT" && t.token(i+2) == "NULL":
			all = append(all, []edit{t.replace(span{i, i + 3}, "IS NULL")})
		}
	}
	return all
}
