package holdfast

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID names a job, a consumer or a line of activity. It is a UUIDv7 made by the caller's library, so that a call whose
// answer was lost can be repeated. For people it is 26 characters (Crockford's base 32). It is opaque: nothing orders
// by it. The zero ID names nothing.
type ID [16]byte

// NewID makes an ID that no other call makes: 48 bits of time, 74 random bits (RFC 9562, version 7).
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails: crypto/rand ends the program instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli()))
	copy(id[:6], ms[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// IsZero says whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// String gives the 26 characters; "" for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var out [26]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

// ParseID reads what String gives, in upper or lower case. Any other text is ErrInvalid.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 26 || s[0] > '7' {
		return id, fmt.Errorf("%w: %s is not an id; an id has 26 letters and digits", ErrInvalid, quoted(s))
	}
	var hi, lo uint64
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		v := strings.IndexByte(crockford, c)
		if v < 0 {
			return id, fmt.Errorf("%w: %s is not an id: no id has the character %s", ErrInvalid, quoted(s), quoted(s[i:i+1]))
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

// MarshalText gives what String gives.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText gives; empty text is the zero ID.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// Lease is the right to report on one delivery of a job: the job, and a fence that goes up by one at every delivery and
// never down. Whoever names a stale lease gets ErrLeaseLost and changes nothing.
type Lease struct {
	Job   ID
	Fence int64
}

// String gives the text by which scripts and HTTP callers name a lease. It is opaque to them.
func (l Lease) String() string { return l.Job.String() + "_" + strconv.FormatInt(l.Fence, 10) }

// ParseLease reads what String gives. Any other text is ErrInvalid.
func ParseLease(s string) (Lease, error) {
	job, fence, ok := strings.Cut(s, "_")
	id, err := ParseID(job)
	n, numErr := strconv.ParseInt(fence, 10, 64)
	if !ok || err != nil || numErr != nil || n < 1 || strconv.FormatInt(n, 10) != fence {
		return Lease{}, fmt.Errorf("%w: %s is not a lease; use the lease that get printed", ErrInvalid, quoted(s))
	}
	return Lease{id, n}, nil
}

// MarshalText gives what String gives.
func (l Lease) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (l *Lease) UnmarshalText(text []byte) error {
	parsed, err := ParseLease(string(text))
	if err == nil {
		*l = parsed
	}
	return err
}

// quoted shows foreign text in a message: bounded, and without control characters.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.QuoteToGraphic(s[:most]) + "…"
	}
	return strconv.QuoteToGraphic(s)
}
