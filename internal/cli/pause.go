package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
)

func (a *app) pauseCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:        "pause QUEUE…",
		Short:      "nothing is taken from the queue",
		SuggestFor: []string{"freeze", "block", "suspend"},
		Long:       `Keeps queues from giving jobs until resume. What runs goes on, what is put waits. Either may be repeated.`,
		Example: `  holdfast pause mail
  holdfast pause mail files`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.pauseAll(cmd.Context(), args, true, f) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:        "resume QUEUE…",
		Short:      "the queue gives jobs again",
		SuggestFor: []string{"unpause", "continue", "unfreeze"},
		Long:       `Lets paused queues give jobs again.`,
		Example:    `  holdfast resume mail`,
		Args:       arguments(1, -1),
		RunE:       func(cmd *cobra.Command, args []string) error { return a.pauseAll(cmd.Context(), args, false, f) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) pauseAll(ctx context.Context, queues []string, paused bool, f format) error {
	for _, q := range queues {
		if err := holdfast.CheckQueueName(q); err != nil {
			return err
		}
	}
	s, err := a.existing(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	counts, err := s.Counts(ctx)
	if err != nil {
		return err
	}
	var views []pauseView
	for _, q := range queues {
		known := slices.ContainsFunc(counts, func(c holdfast.Counts) bool { return c.Queue == q })
		switch {
		case !known && !paused:
			return &remedy{holdfast.ErrNotFound, fmt.Sprintf("there is no queue %s; see holdfast queues", q)}
		case !known:
			a.say("queue %s has had no jobs yet; the first one will wait", q)
		}
		change := a.operator(s).Resume
		if paused {
			change = a.operator(s).Pause
		}
		if err := change(ctx, q); err != nil {
			return err
		}
		views = append(views, pauseView{q, paused})
	}
	if f.machine() {
		return list(a, f, "queues", views)
	}
	for _, v := range views {
		word := "gives jobs again"
		if v.Paused {
			word = "is paused"
		}
		if err := a.print("%s %s", v.Queue, word); err != nil {
			return err
		}
	}
	return nil
}
