package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfastq/holdfast"
)

// maxErrors bounds what is reported at once.
const maxErrors = 20

// Error is one mistake.
type Error struct {
	File         string // "": of the environment or a flag, which Text names
	Line, Column int    // from 1, in characters; zero if the file as a whole is meant
	Text         string
	source       string // the line
}

// Error gives the place and what is wrong, and below it the line with a caret.
func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Text
	case e.Line == 0:
		return e.File + ": " + e.Text
	}
	text, column := excerpt(e.source, e.Column)
	margin := fmt.Sprintf("%5d | ", e.Line)
	return fmt.Sprintf("%s:%d:%d: %s\n%s%s\n%*s| %s^", e.File, e.Line, e.Column, e.Text,
		margin, text, len(margin)-2, "", strings.Repeat(" ", column-1))
}

// Is makes it holdfast.ErrInvalid.
func (e *Error) Is(target error) bool { return target == holdfast.ErrInvalid }

// Errors is all mistakes that one look finds: those of the file by their place, then others. It has at least one.
type Errors []*Error

func (e Errors) Error() string {
	var out strings.Builder
	for i, one := range e {
		if i == maxErrors {
			fmt.Fprintf(&out, "\nand %d more", len(e)-i)
			break
		}
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(one.Error())
	}
	return out.String()
}

// Is makes it holdfast.ErrInvalid.
func (e Errors) Is(target error) bool { return target == holdfast.ErrInvalid }

// sorted puts mistakes in the order in which a reader of the file meets them.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		switch {
		case a.Line == 0 && b.Line == 0:
			return 0
		case a.Line == 0:
			return 1
		case b.Line == 0:
			return -1
		case a.Line != b.Line:
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return e
}

// excerpt is the part of a line around a column, and the column within it: one sign for each character, whatever it is.
func excerpt(line string, column int) (string, int) {
	const most, before = 110, 70
	runes := []rune(hidden(line))
	for i, r := range runes {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			runes[i] = ' '
			if r != '\t' {
				runes[i] = '·'
			}
		}
	}
	column = min(column, len(runes)+1)
	if from := column - 1 - before; from > 0 {
		runes = append([]rune{'…'}, runes[from:]...)
		column = before + 2
	}
	if len(runes) > most {
		runes = append(runes[:most], '…')
	}
	return strings.TrimRight(string(runes), " "), column
}

var password = regexp.MustCompile(`(https?://|://[^/@\s:]*:)([^@\s]*)(@)`)

// hidden is text in which passwords and tokens of URLs cannot be read; each of their characters is still one.
func hidden(s string) string {
	return password.ReplaceAllStringFunc(s, func(m string) string {
		part := password.FindStringSubmatch(m)
		return part[1] + strings.Repeat("•", utf8.RuneCountInString(part[2])) + part[3]
	})
}

// quoted shows foreign text in a message: bounded, in one line, without passwords.
func quoted(s string) string {
	const most = 60
	s = hidden(s)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return strconv.QuoteToGraphic(s)
}
