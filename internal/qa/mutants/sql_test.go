package mutants

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSQL(t *testing.T) {
	for _, c := range []struct {
		name string
		find func(sqlText) [][]edit
		text string
		want []string
	}{
		{
			"columns of INSERT", sqlText.swappedColumns, "INSERT INTO s (user_email, name) VALUES ($1, $2)",
			[]string{"INSERT INTO s (name, user_email) VALUES ($1, $2)", "INSERT INTO s (user_email, name) VALUES ($2, $1)"},
		},
		{"placeholders that are the same", sqlText.swappedColumns, "VALUES (?, ?)", nil},
		{
			"columns of SELECT", sqlText.swappedColumns, "SELECT a, f(b, 'x, y'), c FROM t, u",
			[]string{
				"SELECT f(b, 'x, y'), a, c FROM t, u", "SELECT a, c, f(b, 'x, y') FROM t, u", "SELECT a, f('x, y', b), c FROM t, u",
			},
		},
		{
			"expressions with aliases", sqlText.swappedColumns, "SELECT a AS x, b AS y FROM t",
			[]string{"SELECT b AS x, a AS y FROM t"},
		},
		{
			"assignments", sqlText.swappedColumns, "UPDATE t SET a = ?, b = c + 1 WHERE d = 1",
			[]string{"UPDATE t SET a = c + 1, b = ? WHERE d = 1"},
		},
		{
			"RETURNING", sqlText.swappedColumns, "DELETE FROM t RETURNING a, b",
			[]string{"DELETE FROM t RETURNING b, a"},
		},
		{"columns that are read by name", sqlText.swappedColumns, "WITH x AS (SELECT a, t.b FROM t), y AS (DELETE FROM u RETURNING a, b) SELECT 1", nil},
		{
			"a common table expression that inserts", sqlText.swappedColumns, "WITH x AS (INSERT INTO t SELECT a, b FROM u RETURNING a, b) SELECT 1",
			[]string{"WITH x AS (INSERT INTO t SELECT b, a FROM u RETURNING a, b) SELECT 1"},
		},
		{
			"where order means nothing", sqlText.swappedColumns,
			"SELECT a FROM t JOIN u USING (a, b) WHERE a IN (1, 2) GROUP BY a, b ORDER BY 1 ON CONFLICT (a, b) DO NOTHING", nil,
		},
		{
			"a part of a list", sqlText.swappedColumns, ", user_id, tenant_id, coalesce(",
			[]string{", tenant_id, user_id, coalesce("},
		},
		{
			"joined conditions", sqlText.droppedConditions, "SELECT a FROM t WHERE a = ? AND b IN (?, ?) AND c BETWEEN 1 AND 2 ORDER BY a",
			[]string{
				"SELECT a FROM t WHERE (a = ? OR 1 = 1) AND b IN (?, ?) AND c BETWEEN 1 AND 2 ORDER BY a",
				"SELECT a FROM t WHERE a = ? AND (b IN (?, ?) OR 1 = 1) AND c BETWEEN 1 AND 2 ORDER BY a",
				"SELECT a FROM t WHERE a = ? AND b IN (?, ?) AND (c BETWEEN 1 AND 2 OR 1 = 1) ORDER BY a",
			},
		},
		{"a part of a statement", sqlText.droppedConditions, " AND a = ?", []string{" AND (a = ? OR 1 = 1)"}},
		{"the beginning of a condition", sqlText.droppedConditions, "a = ? AND ", []string{"(a = ? OR 1 = 1) AND "}},
		{"a condition that is not complete", sqlText.droppedConditions, "WHERE a IN (", nil},
		{"alternatives", sqlText.droppedConditions, "(a = ? OR b = ?)", nil},
		{
			"a subquery", sqlText.droppedConditions, "WHERE NOT EXISTS (SELECT FROM u WHERE u.a = t.a)",
			[]string{
				"WHERE NOT EXISTS (SELECT FROM u WHERE (u.a = t.a OR 1 = 1))",
				"WHERE (NOT EXISTS (SELECT FROM u WHERE u.a = t.a) OR 1 = 1)",
			},
		},
		{"ON CONFLICT", sqlText.droppedConditions, "ON CONFLICT DO NOTHING", nil},
		{
			"a join", sqlText.droppedConditions, "FROM a JOIN b ON a.x = b.x LEFT JOIN c USING (y)",
			[]string{"FROM a JOIN b ON (a.x = b.x OR 1 = 1) LEFT JOIN c USING (y)"},
		},
		{
			"what differs from NULL", sqlText.droppedConditions, "WHERE a IS DISTINCT FROM b AND c",
			[]string{"WHERE (a IS DISTINCT FROM b OR 1 = 1) AND c", "WHERE a IS DISTINCT FROM b AND (c OR 1 = 1)"},
		},
		{"a comparison for equality", sqlText.turnedComparisons, "a = ?", []string{"a <> ?"}},
		{"a comparison of order", sqlText.turnedComparisons, "a >= ?", []string{"a > ?", "a <= ?"}},
		{
			"not what SET assigns", sqlText.turnedComparisons, "UPDATE t SET a = 1, b = (c = 2) WHERE d = 3",
			[]string{"UPDATE t SET a = 1, b = (c <> 2) WHERE d = 3", "UPDATE t SET a = 1, b = (c = 2) WHERE d <> 3"},
		},
		{"not a part of what SET assigns", sqlText.turnedComparisons, ", location = ?", nil},
		{"other operators", sqlText.turnedComparisons, "a ->> 'x' || b <@ c", nil},
		{"not in a comment", sqlText.turnedComparisons, "a -- b = c", nil},
		{"order", sqlText.turnedOrders, "ORDER BY a DESC, b ASC", []string{"ORDER BY a ASC, b ASC", "ORDER BY a DESC, b DESC"}},
		{"NULL", sqlText.turnedNulls, "a IS NULL AND b IS NOT NULL", []string{"a IS NOT NULL AND b IS NOT NULL", "a IS NULL AND b IS NULL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var found []string
			for _, edits := range c.find(parseSQL(c.text)) {
				found = append(found, string(apply([]byte(c.text), edits)))
			}
			assert.ElementsMatch(t, c.want, found)
		})
	}
}

func TestIsSQL(t *testing.T) {
	for _, literal := range []string{
		`"SELECT 1"`, `" AND a IS NULL"`, `"tenant_id = ?"`, `"created_at < $1"`, `"tenant_id, user_id, created_at"`, "`UPDATE t SET a = 1`",
	} {
		assert.True(t, isSQL(literal), literal)
	}
	for _, literal := range []string{`"a sentence, and more of it"`, `"from=%s where=%s"`, `"/tenants/{tenant_id}"`, `"tenant_id"`, `"a = b"`} {
		assert.False(t, isSQL(literal), literal)
	}
}
