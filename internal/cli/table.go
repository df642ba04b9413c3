package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/holdfastq/holdfast"
)

// table is rows for people. Every cell must be clean text already.
type table struct {
	head  []string // one word each; with a leading > the column is aligned to the right
	rows  [][]string
	tints map[[2]int]string // by row and column
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// tint colours the cell in a column of the latest row.
func (t *table) tint(column int, code string) {
	if t.tints == nil {
		t.tints = map[[2]int]string{}
	}
	t.tints[[2]int{len(t.rows) - 1, column}] = code
}

func (t *table) write(w io.Writer, color bool) error {
	width := make([]int, len(t.head))
	right := make([]bool, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i], right[i] = strings.CutPrefix(h, ">")
		width[i] = utf8.RuneCountInString(head[i])
	}
	for _, row := range t.rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	line := func(n int, row []string) {
		for i, cell := range row {
			gap := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if code := t.tints[[2]int{n, i}]; color && code != "" {
				cell = "\x1b[" + code + "m" + cell + "\x1b[0m"
			}
			switch {
			case right[i]:
				out.WriteString(gap + cell)
			case i == len(row)-1:
				out.WriteString(cell)
			default:
				out.WriteString(cell + gap)
			}
			if i < len(row)-1 {
				out.WriteString("  ")
			}
		}
		out.WriteString("\n")
	}
	line(-1, head)
	for n, row := range t.rows {
		line(n, row)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// sign is how people see a state: a glyph and a word, never a colour alone.
func sign(i *holdfast.Info) string {
	if isRetry(i) {
		return "↻ retry"
	}
	return glyph(i.State) + " " + i.State.String()
}

// isRetry says whether the job waits for its next attempt after a failed one.
func isRetry(i *holdfast.Info) bool {
	return i.State == holdfast.Scheduled && i.Why == holdfast.ReasonRetry
}

func glyph(s holdfast.State) string {
	switch s {
	case holdfast.Waiting:
		return "○"
	case holdfast.Scheduled:
		return "◔"
	case holdfast.Running:
		return "◐"
	case holdfast.Done:
		return "●"
	case holdfast.Failed:
		return "✕"
	case holdfast.Cancelled:
		return "⊘"
	}
	return "?"
}

// hue is the terminal's colour of a state: the same roles as on the pages.
func hue(i *holdfast.Info) string {
	if isRetry(i) {
		return "33"
	}
	switch i.State {
	case holdfast.Scheduled:
		return "35"
	case holdfast.Running:
		return "34"
	case holdfast.Done:
		return "32"
	case holdfast.Failed:
		return "31"
	case holdfast.Cancelled:
		return "2"
	}
	return ""
}
