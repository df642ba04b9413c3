package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// results has every sample by system and measure.
type results map[key][]sample

type key struct{ system, measure string }

func (r results) add(system, measure string, s sample) {
	k := key{system, measure}
	r[k] = append(r[k], s)
}

// median is the sample with the middle rate, so that its counts belong to its rate.
func (r results) median(system, measure string) (sample, bool) {
	all := slices.SortedFunc(slices.Values(r[key{system, measure}]), func(a, b sample) int {
		return cmp.Compare(a.rate(), b.rate())
	})
	if len(all) == 0 {
		return sample{}, false
	}
	return all[len(all)/2], true
}

func (r results) has(measure string) bool {
	for k := range r {
		if k.measure == measure {
			return true
		}
	}
	return false
}

// A row is one figure.
type row struct {
	System  string  `json:"system"`
	Store   string  `json:"store"`
	Measure string  `json:"measure"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
}

// writeJSON writes three rows for each system and measure: the rate, and beside it commits and syncs.
func writeJSON(out io.Writer, r results) error {
	enc := json.NewEncoder(out)
	for _, m := range measures {
		for _, s := range systems {
			v, ok := r.median(s.name, m)
			if !ok {
				continue
			}
			for _, line := range []row{
				{s.name, s.store, m, round(v.rate()), "jobs/s"},
				{s.name, s.store, m + "_commits", round(v.per1000(v.counts.commits)), "commits/1000 jobs"},
				{s.name, s.store, m + "_syncs", round(v.per1000(v.counts.syncs)), "syncs/1000 jobs"},
			} {
				if err := enc.Encode(line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// round keeps three digits behind the point.
func round(v float64) float64 { return float64(int64(v*1000+0.5)) / 1000 }

// writeTable writes one line for each system and measure.
func writeTable(out io.Writer, r results) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, m := range measures {
		if !r.has(m) {
			continue
		}
		plain, havePlain := r.median("plainest", m)
		river, haveRiver := r.median("river", m)
		fmt.Fprintf(w, "%s\tjobs/s\tof plainest\ttimes river\tcommits/1000\tsyncs/1000\tof n jobs\t\n", m)
		for _, s := range systems {
			v, ok := r.median(s.name, m)
			if !ok {
				continue
			}
			fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%.3g\t%.3g\t%d\t\n", s.name, v.rate(),
				ratio(havePlain, "%.0f %%", v.rate()*100, plain), ratio(haveRiver, "%.1f", v.rate(), river),
				v.per1000(v.counts.commits), v.per1000(v.counts.syncs), v.jobs)
		}
		fmt.Fprintln(w, "\t\t\t\t\t\t\t")
	}
	return w.Flush()
}

func ratio(have bool, format string, rate float64, of sample) string {
	if !have {
		return "-"
	}
	return fmt.Sprintf(format, rate/of.rate())
}
