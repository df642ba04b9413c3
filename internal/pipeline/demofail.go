package pipeline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/holdfastq/holdfast"
)

// The files that fail on purpose say so in their first line, so that what becomes of one depends on the file alone, also
// when another demo takes its job.
const (
	refused  = "refused on purpose, until its job is retried"
	stubborn = "fails on purpose, until its job is retried"
	shaky    = "fails on purpose, the first time"
)

// content makes what is in a file of the demo: one in FailOneIn is meant to fail, the first soon after the start.
func (d *demo) content(name string, w io.Writer) error {
	if n := int(d.made.Load()); d.FailOneIn > 0 && n%d.FailOneIn == min(1, d.FailOneIn-1) {
		if _, err := fmt.Fprintln(w, []string{refused, shaky, stubborn}[n/d.FailOneIn%3]); err != nil {
			return err
		}
	}
	return words(name, w)
}

// process is Upper, except for what is meant to fail. A job that a person reopened has more attempts behind it than
// failures.
func (d *demo) process(ctx context.Context, job holdfast.Info, name string, in io.Reader, out io.Writer) error {
	r := bufio.NewReader(in)
	head, err := r.Peek(128)
	if err != nil && err != io.EOF {
		return err
	}
	reopened := job.Attached || job.Attempt > job.Failures+1
	first, _, _ := strings.Cut(string(head), "\n")
	switch {
	case reopened:
	case first == refused:
		return holdfast.Permanent(errors.New(first))
	case first == stubborn, first == shaky && job.Attempt == 1:
		return errors.New(first)
	}
	return Upper(ctx, job, name, r, out)
}
