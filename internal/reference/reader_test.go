package reference_test

import (
	"regexp"
	"strings"
)

// facts is what a reference page says, without how it is laid out.
type facts struct {
	title      string
	order      []string // the names of the sections, in their order
	operations map[string]endpoint
	schemas    map[string]object
}

type endpoint struct {
	summary     string
	description []string
	parameters  [][]string // name, place, required, type, description
	body        []string   // required or not, then media type and type
	responses   [][]string // status, body
}

type object struct {
	description []string
	fields      [][]string // name, type, required, description
}

var (
	parameterRow = regexp.MustCompile(`(\w+) \| (path|query|header) \| (yes|no) \| (string \| null|\w+)(?: \||$)`)
	responseRow  = regexp.MustCompile(`(\d{3}) \| (.+?) \|`)
	fieldRow     = regexp.MustCompile(`(\w+) \| (\w[^|]*?(?: \| (?:null|integer))?) \| (yes|no) \|`)
)

// read reads a page as its text is copied out of a browser: a heading ends in its anchor, "#", and a table breaks where a
// cell is code, so that its lines say less than its bars.
func read(text string) facts {
	f := facts{operations: map[string]endpoint{}, schemas: map[string]object{}}
	f.title, _, _ = strings.Cut(text, "\n")
	_, text, _ = strings.Cut(text, "\nEndpoints#\n")
	endpoints, schemas, _ := strings.Cut(text, "\nSchemas#\n")
	for name, lines := range sections(endpoints, &f.order) {
		f.operations[name] = readEndpoint(lines)
	}
	for name, lines := range sections(schemas, &f.order) {
		description, table := until(lines, "| Field |")
		f.schemas[name] = object{description, rows(fieldRow, table)}
	}
	return f
}

// sections are the lines below each heading.
func sections(text string, order *[]string) map[string][]string {
	found := map[string][]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "#"):
			name = strings.TrimSuffix(line, "#")
			found[name] = nil
			*order = append(*order, name)
		case line != "" && name != "":
			found[name] = append(found[name], line)
		}
	}
	return found
}

func readEndpoint(lines []string) endpoint {
	e := endpoint{summary: lines[0]}
	e.description, lines = until(lines[1:], "Parameters:", "Request body:", "Responses:")
	if lines[0] == "Parameters:" {
		var table []string
		table, lines = until(lines, "Request body:", "Responses:")
		e.parameters = rows(parameterRow, table)
	}
	if lines[0] == "Request body:" {
		var body []string
		body, lines = until(lines[1:], "Responses:")
		for _, line := range body {
			e.body = append(e.body, squeeze(strings.TrimPrefix(strings.ReplaceAll(line, "→", " → "), "- ")))
		}
	}
	e.responses = rows(responseRow, lines)
	return e
}

// until splits lines before the first that begins with one of the marks.
func until(lines []string, marks ...string) (before, after []string) {
	for i, line := range lines {
		for _, mark := range marks {
			if strings.HasPrefix(line, mark) {
				return lines[:i], lines[i:]
			}
		}
	}
	return lines, nil
}

// rows are the cells of a table. What follows a row's pattern, up to the next row, is its last cell when the table has one
// more column than the pattern has groups.
func rows(row *regexp.Regexp, lines []string) [][]string {
	text := strings.Join(lines, " ")
	_, text, _ = strings.Cut(text, "---|") // the header
	text = strings.TrimLeft(text, "-|")
	found := row.FindAllStringSubmatchIndex(text, -1)
	var cells [][]string
	for i, at := range found {
		var one []string
		for group := 2; group < len(at); group += 2 {
			one = append(one, squeeze(text[at[group]:at[group+1]]))
		}
		if row != responseRow {
			end := len(text)
			if i+1 < len(found) {
				end = found[i+1][0]
			}
			one = append(one, squeeze(strings.Trim(text[at[1]:end], " |")))
		}
		cells = append(cells, one)
	}
	return cells
}

func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// copied is a page of Markdown as a browser shows it and its text is copied.
func copied(markdown string) string {
	for pattern, text := range map[string]string{
		`(?m)^#+ (.+)$`:       "${1}#",
		`\[(\w+)\]\(#(\w+)\)`: "$1",
		"(?m)^- `([^`]+)` → ": "- $1 → ",
		"(?m)^\\| `([^`]+)` ": "| $1 ",
		"\\| `([^`]+)` →":     "| $1 →",
		`\\\|`:                "|",
	} {
		markdown = regexp.MustCompile(pattern).ReplaceAllString(markdown, text)
	}
	return markdown
}
