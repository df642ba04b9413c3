package holdfast

import (
	"hash/fnv"
	"strings"
)

// CauseOf gives the fingerprint of a failure: the queue and the first line of the error, without what differs from one
// job to the next (long numbers, quoted texts, paths, long hexadecimal words). Never 0.
func CauseOf(queue, errText string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(queue))
	h.Write([]byte{0})
	h.Write([]byte(normalCause(errText)))
	return max(h.Sum64()>>1, 1) // 63 bits: it fits the integers of every database
}

// normalCause is the part of an error's text that its likes share.
func normalCause(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	var out strings.Builder
	for word := range strings.FieldsSeq(cut(line, 512)) {
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(normalWord(word))
	}
	return out.String()
}

func normalWord(word string) string {
	bare := strings.Trim(word, `"'.,;:()[]{}`)
	switch {
	case bare == "", len(bare) <= 3 && strings.Trim(bare, "0123456789") == "":
		return word // short numbers stay: exit status 1 is not exit status 137
	case strings.ContainsAny(bare, "0123456789"), strings.ContainsAny(bare, `/\`), bare != word && strings.ContainsAny(word[:1], `"'`):
		return "#"
	}
	return word
}
