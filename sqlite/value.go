package sqlite

import (
	"math"
	"time"
	"unsafe"

	"github.com/holdfastq/holdfast"
)

// session is where statements run: our own connection, or the caller's transaction.
type session interface {
	exec(sql string, args ...value) (int64, error)
	query(sql string, each func(row) error, args ...value) error
}

// row is one row of an answer, by column from 0. Null is 0, "" and nil.
type row interface {
	int(i int) int64
	real(i int) float64
	text(i int) string
	blob(i int) []byte // a copy
	id(i int) [16]byte
	null(i int) bool
}

// value is an argument of a statement, without the allocation that an interface costs.
type value struct {
	kind uint8
	n    int64 // the integer, the bits of the number, or the length
	p    *byte
}

const (
	kindNull uint8 = iota
	kindInt
	kindReal
	kindText
	kindBlob
)

var null = value{}

func num[T ~int | ~int64 | ~uint8 | ~uint64](n T) value { return value{kind: kindInt, n: int64(n)} }

func real64(f float64) value { return value{kind: kindReal, n: int64(math.Float64bits(f))} }

func text(s string) value {
	return value{kind: kindText, n: int64(len(s)), p: unsafe.StringData(s)}
}

// blob is a blob; nil is an empty one.
func blob(b []byte) value {
	return value{kind: kindBlob, n: int64(len(b)), p: unsafe.SliceData(b)}
}

func flag(b bool) value {
	if b {
		return value{kind: kindInt, n: 1}
	}
	return value{kind: kindInt}
}

// ident is an id; the zero id is null.
func ident(id *holdfast.ID) value {
	if id.IsZero() {
		return null
	}
	return blob(id[:])
}

// textOrNull is a text; the empty one is null.
func textOrNull(s string) value {
	if s == "" {
		return null
	}
	return text(s)
}

// numOrNull is a number; 0 is null.
func numOrNull[T ~int | ~int64 | ~uint64](n T) value {
	if n == 0 {
		return null
	}
	return num(n)
}

// moment is a time in milliseconds since 1970; the zero time is null.
func moment(t time.Time) value {
	if t.IsZero() {
		return null
	}
	return num(t.UnixMilli())
}

// at is the time of a column of milliseconds since 1970; null is the zero time.
func at(r row, i int) time.Time {
	if r.null(i) {
		return time.Time{}
	}
	return wall(r.int(i))
}

func wall(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (v *value) size() int {
	if v.kind < kindText {
		return 0
	}
	return int(v.n)
}

func (v *value) bytes() []byte { return unsafe.Slice(v.p, v.n) }

func (v *value) real() float64 { return math.Float64frombits(uint64(v.n)) }

// plain is the value as database/sql takes it.
func (v *value) plain() any {
	switch v.kind {
	case kindInt:
		return v.n
	case kindReal:
		return v.real()
	case kindText:
		return string(v.bytes())
	case kindBlob:
		return append([]byte{}, v.bytes()...)
	}
	return nil
}
