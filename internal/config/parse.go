package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser's time grows with the square of the tokens and its stack with the depth.
const (
	MaxBytes  = 1 << 20
	maxTokens = 20_000
	maxDepth  = 20
)

// place is where something stands in the file, from 1, in characters.
type place struct{ line, column int }

func placeOf(t *token.Token) place { return place{t.Position.Line, t.Position.Column} }

// reader turns one file, the environment and flags into a Config, and collects what is wrong on the way.
type reader struct {
	c     *Config
	name  string // of the file, as it is shown
	lines []string
	errs  Errors
}

// wrong notes a mistake at a place of the file.
func (r *reader) wrong(at place, format string, args ...any) {
	e := &Error{File: r.name, Line: max(at.line, 1), Column: max(at.column, 1), Text: fmt.Sprintf(format, args...)}
	e.Line = min(e.Line, max(len(r.lines), 1))
	if len(r.lines) > 0 {
		e.source = r.lines[e.Line-1]
	}
	e.Column = min(e.Column, utf8.RuneCountInString(e.source)+1)
	r.errs = append(r.errs, e)
}

// parse gives the file's one value, nil if it has none. What it cannot take is noted.
func (r *reader) parse(text []byte) (body ast.Node) {
	if len(text) > MaxBytes {
		r.errs = append(r.errs, &Error{File: r.name, Text: fmt.Sprintf("it has more than %d bytes; a config file is smaller", MaxBytes)})
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	r.lines = strings.Split(string(text), "\n")
	if !r.plain() {
		return nil
	}
	// The parser is not ours: a text that it dies of is a text that it cannot read.
	defer func() {
		if recover() != nil {
			r.wrong(place{1, 1}, "this is no YAML that can be read")
			body = nil
		}
	}()
	tokens := lexer.Tokenize(string(text))
	if !r.allowed(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // duplicates are ours to report, with both lines
	if err != nil {
		r.syntax(err)
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			r.wrong(start(doc.Body), "a second document begins here; the file may have one")
			return nil
		}
		body = doc.Body
	}
	if !r.complete(tokens, body) {
		return nil
	}
	return body
}

// complete says whether every word of the file is in the tree: what the parser lost would be a setting that somebody
// made and nobody keeps.
func (r *reader) complete(tokens token.Tokens, body ast.Node) bool {
	kept := map[*token.Token]bool{}
	var walk func(ast.Node)
	walk = func(n ast.Node) {
		switch n := n.(type) {
		case nil:
		case *ast.MappingNode:
			for _, v := range n.Values {
				walk(v)
			}
		case *ast.MappingValueNode:
			walk(n.Key)
			walk(n.Value)
		case *ast.SequenceNode:
			for _, v := range n.Values {
				walk(v)
			}
		case *ast.LiteralNode:
			if n.Value != nil {
				kept[n.Value.GetToken()] = true
			}
		default:
			kept[n.GetToken()] = true
		}
	}
	walk(body)
	for _, t := range tokens {
		if isWord[t.Type] && !kept[t] {
			r.wrong(placeOf(t), "%s", unclear)
			return false
		}
	}
	return true
}

var isWord = map[token.Type]bool{
	token.StringType: true, token.SingleQuoteType: true, token.DoubleQuoteType: true, token.BoolType: true, token.NullType: true,
	token.IntegerType: true, token.BinaryIntegerType: true, token.OctetIntegerType: true, token.HexIntegerType: true,
	token.FloatType: true, token.InfinityType: true, token.NanType: true,
}

// plain says whether the file is text: UTF-8 without control characters.
func (r *reader) plain() bool {
	for i, line := range r.lines {
		column := 1
		for rest := line; rest != ""; column++ {
			c, n := utf8.DecodeRuneInString(rest)
			switch {
			case c == utf8.RuneError && n == 1:
				r.lines[i] = strings.ToValidUTF8(line, "�")
				r.wrong(place{i + 1, column}, "this is no UTF-8; save the file as UTF-8")
				return false
			case c < ' ' && c != '\t', c == 0x7f, 0x80 <= c && c < 0xa0, c == '\u2028', c == '\u2029', c == '\ufeff':
				r.wrong(place{i + 1, column}, "a control character (%U) does not belong in a config file", c)
				return false
			}
			rest = rest[n:]
		}
	}
	return true
}

// allowed says whether all is YAML of the kind that a config file needs.
func (r *reader) allowed(tokens token.Tokens) bool {
	before := len(r.errs)
	if len(tokens) > maxTokens {
		r.wrong(placeOf(tokens[maxTokens]), "the file is too long here: it has more than %d words and signs", maxTokens)
		return false
	}
	depth, line, entries, begun := 0, 0, 0, false
	for i, t := range tokens {
		at := placeOf(t)
		if at.line != line {
			line, entries = at.line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType:
			r.wrong(at, "a text that begins with %s needs quotes: %s (anchors and aliases are not for a config file)", t.Value[:1], quoted(r.word(at)))
		case token.TagType:
			r.wrong(at, "a text that begins with ! needs quotes: %s (tags are not for a config file)", quoted(r.word(at)))
		case token.DirectiveType:
			r.wrong(at, "a text that begins with %% needs quotes: %s (directives are not for a config file)", quoted(r.word(at)))
			return false // what follows is cut in other ways
		case token.MergeKeyType:
			r.wrong(at, "<< is not for a config file; write the keys where they belong")
		case token.MappingKeyType:
			r.wrong(at, "a ? here begins a key of many lines; write key: value")
		case token.InvalidType:
			r.invalid(t)
		case token.DocumentHeaderType:
			if i > 0 && tokens[i-1].Type != token.CommentType || begun {
				r.wrong(at, "a second document begins here; the file may have one")
			}
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		}
		begun = begun || t.Type != token.CommentType
		if depth > maxDepth || entries > maxDepth || at.column > 1000 && t.Type == token.SequenceEntryType {
			r.wrong(at, "lists and groups are nested too deeply here")
			return false
		}
		if len(r.errs) > before+maxErrors {
			return false
		}
	}
	return len(r.errs) == before
}

// word is the word of the file that begins at a place, as far as a value without quotes goes.
func (r *reader) word(at place) string {
	if at.line > len(r.lines) {
		return ""
	}
	runes := []rune(r.lines[at.line-1])
	if at.column < 1 || at.column > len(runes) {
		return ""
	}
	word := string(runes[at.column-1:])
	if i := strings.Index(word, " #"); i >= 0 {
		word = word[:i]
	}
	if i := strings.IndexAny(word, ",]}"); i > 0 {
		word = word[:i]
	}
	return strings.TrimSpace(word)
}

// invalid notes what the lexer could not read.
func (r *reader) invalid(t *token.Token) {
	at := placeOf(t)
	switch {
	case strings.Contains(t.Error, "tab character") || strings.Contains(t.Error, "'\t'"):
		if line := min(at.line, len(r.lines)); line > 0 {
			if i := strings.IndexByte(r.lines[line-1], '\t'); i >= 0 {
				at.column = utf8.RuneCountInString(r.lines[line-1][:i]) + 1
			}
		}
		r.wrong(at, "a tab cannot indent; use spaces")
	case strings.Contains(t.Error, "escape"):
		r.wrong(at, `in double quotes this \ stands for nothing; write \\ for one, or take single quotes`)
	case strings.Contains(t.Error, "quoted"):
		r.wrong(at, "the text in quotes that begins here does not end")
	case strings.Contains(t.Error, "reserved character"):
		r.wrong(at, "a text that begins with %s needs quotes: %s", strings.TrimSpace(t.Value), quoted(r.word(at)))
	default:
		r.wrong(at, "%s", unclear)
	}
}

const unclear = "this cannot stand here: is the line indented like its neighbours, is a quote, a comma or a bracket missing?"

var (
	placeholder = regexp.MustCompile(`\{[A-Za-z_]+\}`)
	noSpace     = regexp.MustCompile(`^[A-Za-z_]+:[^\s:]`)
)

// syntax notes what the parser could not read, in our own words.
func (r *reader) syntax(err error) {
	at, text, deeper := place{1, 1}, "", false
	var y yaml.Error
	if errors.As(err, &y) {
		text = y.GetMessage()
		if t := y.GetToken(); t != nil {
			at = placeOf(t)
			// A key that is indented too much is read as more of the text in the line before.
			if next := t.Next; next != nil && next.Type == token.MappingValueType && next.Position.Line > at.line {
				at, deeper = place{next.Position.Line, 1}, true
			}
		}
	}
	line := ""
	if 0 < at.line && at.line <= len(r.lines) {
		line = r.lines[at.line-1]
	}
	switch {
	case deeper:
		at.column = len(line) - len(strings.TrimLeft(line, " ")) + 1
		r.wrong(at, "this line is indented more than its neighbours")
	case strings.Contains(text, "must be specified") && bare(line) != "":
		word := bare(line)
		at.column = utf8.RuneCountInString(line[:bareAt(line)[0]]) + 1
		r.wrong(at, `without quotes %s is a group of keys; put the whole word in quotes: %s`, word, quoted(wordAround(line, bareAt(line))))
	case strings.Contains(text, "',' or ']' must be specified"):
		r.wrong(at, "a , or the ] is missing before this, or the text needs quotes")
	case strings.Contains(text, "',' or '}' must be specified"):
		r.wrong(at, "a , or the } is missing before this, or the text needs quotes")
	case strings.Contains(text, "end token"):
		r.wrong(at, "the bracket that opens here is never closed")
	case strings.Contains(text, "could not find '['"), strings.Contains(text, "could not find '{'"):
		r.wrong(at, "nothing is open that this bracket could close")
	case strings.Contains(text, "sequence element"), strings.Contains(text, "unexpected scalar value type"):
		r.wrong(at, "an element of the list is missing before this")
	case strings.Contains(text, "mapping value is not allowed"):
		r.wrong(at, `a second "key: value" cannot stand in one line; a text with ": " in it needs quotes`)
	case strings.Contains(text, "block sequence entries"):
		r.wrong(at, "a list with - begins in a line of its own; or write [one, two]")
	case strings.Contains(text, "key-value is pre-defined"):
		r.wrong(at, "text after a value: is a quote wrong? Put the whole value in quotes")
	default:
		r.wrong(at, "%s", unclear)
	}
}

// bareAt finds a word in braces, like {in}, that stands in no quotes.
func bareAt(line string) []int {
	for _, at := range placeholder.FindAllStringIndex(line, -1) {
		if before := line[:at[0]]; strings.Count(before, `"`)%2 == 0 && strings.Count(before, `'`)%2 == 0 {
			return at
		}
	}
	return nil
}

func bare(line string) string {
	at := bareAt(line)
	if at == nil {
		return ""
	}
	return line[at[0]:at[1]]
}

// wordAround is the word of which a part was found.
func wordAround(line string, at []int) string {
	const ends = " ,[]"
	from := strings.LastIndexAny(line[:at[0]], ends) + 1
	to := strings.IndexAny(line[at[1]:], ends)
	if to < 0 {
		to = len(line) - at[1]
	}
	return line[from : at[1]+to]
}
