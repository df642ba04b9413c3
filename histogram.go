package holdfast

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets on a log scale: four to each doubling, from a microsecond up, so that a
// quantile is at most 10 % off. The zero value is empty.
type Histogram []int64

// buckets: one below a microsecond and four to each doubling, up to four days.
const buckets = 1 + 4*39

// bucket numbers a duration's bucket. Within a doubling the steps are linear (quarters), as in HDR histograms.
func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us == 0 {
		return 0
	}
	top := bits.Len64(us) - 1
	quarter := us << 2 >> top & 3
	return min(1+4*top+int(quarter), buckets-1)
}

// bucketFloor is the smallest duration in bucket b.
func bucketFloor(b int) time.Duration {
	if b <= 0 {
		return 0
	}
	top, quarter := (b-1)/4, (b-1)%4
	us := math.Ldexp(1+float64(quarter)/4, top)
	return time.Duration(us * float64(time.Microsecond))
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	b := bucket(d)
	if b >= len(*h) {
		grown := make(Histogram, b+1)
		copy(grown, *h)
		*h = grown
	}
	(*h)[b]++
}

// Merge counts all that other has counted.
func (h *Histogram) Merge(other Histogram) {
	if len(other) > len(*h) {
		grown := make(Histogram, len(other))
		copy(grown, *h)
		*h = grown
	}
	for b, n := range other {
		(*h)[b] += n
	}
}

// Count is the number of durations counted.
func (h Histogram) Count() int64 {
	var n int64
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile gives the duration below which the part q (0 to 1) of all lies: the middle of its bucket. 0 when empty.
func (h Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(total))), 1)
	for b, n := range h {
		if rank -= n; rank <= 0 {
			return (bucketFloor(b) + bucketFloor(b+1)) / 2
		}
	}
	return bucketFloor(len(h))
}

// MarshalBinary packs the histogram: pairs of a bucket's distance from the last and its count, as varints.
func (h Histogram) MarshalBinary() ([]byte, error) {
	var out []byte
	last := -1
	for b, n := range h {
		if n != 0 {
			out = binary.AppendUvarint(out, uint64(b-last))
			out = binary.AppendUvarint(out, uint64(n))
			last = b
		}
	}
	return out, nil
}

// UnmarshalBinary reads what MarshalBinary gives.
func (h *Histogram) UnmarshalBinary(data []byte) error {
	*h = nil
	b := -1
	for len(data) > 0 {
		step, n := binary.Uvarint(data)
		if n <= 0 {
			return fmt.Errorf("%w: histogram", ErrCorrupt)
		}
		count, m := binary.Uvarint(data[n:])
		if m <= 0 || step == 0 || step > buckets || b+int(step) >= buckets || count > math.MaxInt64 {
			return fmt.Errorf("%w: histogram", ErrCorrupt)
		}
		b += int(step)
		data = data[n+m:]
		grown := make(Histogram, b+1)
		copy(grown, *h)
		grown[b] = int64(count)
		*h = grown
	}
	return nil
}
