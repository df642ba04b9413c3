package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"

	"github.com/holdfastq/holdfast"
)

// Upper is the built-in Process: a line that names the input, then its text in upper case. Bytes that are no text stay
// as they are.
func Upper(_ context.Context, _ holdfast.Info, name string, in io.Reader, out io.Writer) error {
	w := bufio.NewWriter(out)
	if _, err := fmt.Fprintf(w, "made by holdfast of %s\n", shown(name)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		c, size, err := r.ReadRune()
		switch {
		case err == io.EOF:
			return w.Flush()
		case err != nil:
			return err
		case c == utf8.RuneError && size == 1:
			if err = r.UnreadRune(); err == nil {
				var b byte
				if b, err = r.ReadByte(); err == nil {
					err = w.WriteByte(b)
				}
			}
		default:
			_, err = w.WriteRune(unicode.ToUpper(c))
		}
		if err != nil {
			return err
		}
	}
}
