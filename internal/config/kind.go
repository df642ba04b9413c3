package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/holdfastq/holdfast"
)

// form is the shape in which a value stands in the file.
type form int

const (
	formText   form = iota
	formNumber      // without quotes
	formFlag        // without quotes
	formList
)

// kind is a type of values as people know it: how one is read, shown, and described to editors. What is read comes as
// words: the elements of a list, or one word.
type kind[T any] struct {
	form   form
	read   func(words []string) (T, error) // the error says what to write instead
	show   func(T) string
	json   func(T) any // nil: as shown
	schema schema
}

// scalar makes the kind of values that are one text.
func scalar[T any](read func(string) (T, error), show func(T) string, s schema) kind[T] {
	return kind[T]{form: formText, show: show, schema: s, read: func(words []string) (T, error) { return read(words[0]) }}
}

func asIs(s string) string { return s }

// text is a text that passes a check.
func text(check func(string) error) kind[string] {
	return scalar(func(s string) (string, error) { return s, check(s) }, asIs, schema{"type": types("string", "number", "boolean")})
}

// choice is one of some words.
func choice(words ...string) kind[string] {
	return scalar(func(s string) (string, error) {
		if slices.Contains(words, s) {
			return s, nil
		}
		if near := closest(s, words); near != "" {
			return "", fmt.Errorf("did you mean %s? There are %s", near, listed(words))
		}
		return "", errors.New("there are " + listed(words))
	}, asIs, schema{"enum": anys(words, nil)})
}

// whole is a whole number within bounds.
func whole(least, most int) kind[int] {
	return kind[int]{
		form: formNumber, show: strconv.Itoa, json: func(n int) any { return n },
		schema: schema{"type": types("integer"), "minimum": least, "maximum": most},
		read: func(words []string) (int, error) {
			digits := strings.TrimPrefix(words[0], "-")
			n, err := strconv.Atoi(digits)
			switch {
			case err != nil && !errors.Is(err, strconv.ErrRange), digits == "", strings.Trim(digits, "0123456789") != "", digits != "0" && digits[0] == '0':
				return 0, errors.New("write a whole number in plain digits")
			case err != nil || digits != words[0] || n < least || n > most:
				return 0, fmt.Errorf("allowed are %d to %d", least, most)
			}
			return n, nil
		},
	}
}

// yesNo is true or false.
var yesNo = kind[bool]{
	form: formFlag, show: strconv.FormatBool, json: func(b bool) any { return b }, schema: schema{"type": types("boolean")},
	read: func(words []string) (bool, error) {
		switch strings.ToLower(words[0]) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return false, errors.New("write true or false")
	},
}

const (
	durationPattern = `^([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(d|h|ms|m|s|us|µs|ns))+)$`
	century         = 36_500 * 24 * time.Hour
)

// span is a duration within bounds.
func span(least, most time.Duration) kind[time.Duration] {
	read := func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		return d, firstOf(err, within(d, d, least, most))
	}
	return scalar(read, FormatDuration, schema{"type": types("string", "number"), "pattern": durationPattern, "minimum": least.Seconds(), "maximum": most.Seconds()})
}

// spans is a range of durations within bounds.
func spans(least, most time.Duration) kind[Range] {
	read := func(s string) (Range, error) {
		r, err := ParseRange(s)
		return r, firstOf(err, within(r.Least, r.Most, least, most))
	}
	return scalar(read, Range.String, schema{"type": types("string", "number"), "minimum": least.Seconds(), "maximum": most.Seconds()})
}

func within(from, to, least, most time.Duration) error {
	if from < least || to > most {
		return fmt.Errorf("allowed are %s to %s", FormatDuration(least), FormatDuration(most))
	}
	return nil
}

// kept is how long something is kept.
var kept = scalar(func(s string) (time.Duration, error) {
	d, err := ParseKeep(s)
	if err == nil && d > century && d != holdfast.Forever {
		err = errors.New("that is over a hundred years; write " + forever)
	}
	return d, err
}, FormatKeep, schema{"type": types("string", "number"), "minimum": 0})

// size is bytes within bounds.
func size(least, most int64) kind[int64] {
	return scalar(func(s string) (int64, error) {
		n, err := parseSize(s)
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("allowed are %s to %s", formatSize(least), formatSize(most))
		}
		return n, err
	}, formatSize, schema{"type": types("string", "integer")})
}

// list is texts that each pass a check.
func list(check func(string) error) kind[[]string] {
	return kind[[]string]{
		form: formList, schema: schema{"type": types("array"), "items": schema{"type": types("string", "number", "boolean")}},
		read: func(words []string) ([]string, error) {
			for i, word := range words {
				if err := check(word); err != nil {
					return nil, &elementError{i, word, err}
				}
			}
			return words, nil
		},
		show: func(words []string) string {
			shown := make([]string, len(words))
			for i, word := range words {
				shown[i] = element(word)
			}
			return "[" + strings.Join(shown, ", ") + "]"
		},
		json: func(words []string) any { return append([]string{}, words...) },
	}
}

// elementError is about one element of a list.
type elementError struct {
	index int
	word  string
	error
}

// element writes a word as one of a list in the file; in quotes unless it is plain beyond doubt.
func element(word string) string {
	plain := word != "" && strings.IndexFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("./_-", r)
	}) < 0
	if plain && word[0] != '-' {
		return word
	}
	return strconv.QuoteToGraphic(word)
}

// firstOf gives the first error.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// listed joins words for people: a, b and c.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func anys(words []string, more ...any) []any {
	out := make([]any, 0, len(words)+len(more))
	for _, w := range words {
		out = append(out, w)
	}
	return append(out, more...)
}

const maxCount = math.MaxInt32 // of what is counted and has no bound of its own
