package supervise

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The test's own executable is shim, and the parent that tests kill.
func TestMain(m *testing.M) {
	Shim()
	if len(os.Args) > 2 && os.Args[1] == "parent" {
		parent(os.Args[2:])
	}
	os.Exit(m.Run())
}

// parent runs shell scripts, all at once, and says what they print; with sweep first.
func parent(scripts []string) {
	fmt.Println("swept", Sweep())
	for _, script := range scripts {
		go func() {
			exit, err := Run(context.Background(), Command{
				Args: []string{"sh", "-c", script}, Env: Environment(nil), Grace: 200 * time.Millisecond,
				Line: func(l Line) { fmt.Printf("%s\n", l.Text) },
			})
			fmt.Println("ended", exit.String(), err)
		}()
	}
	select {}
}

// sh runs a shell script to its end.
func sh(t *testing.T, ctx context.Context, script string, change func(*Command)) (Exit, []string) {
	t.Helper()
	var lines []string
	next := func(l Line) { lines = append(lines, string(l.Text)) }
	c := Command{Args: []string{"sh", "-c", script}, Env: Environment(nil), Grace: 200 * time.Millisecond, Line: next}
	if change != nil {
		change(&c)
	}
	exit, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return exit, lines
}

// untilSaid gives a context that ends when the child prints a line with the text.
func untilSaid(t *testing.T, text string) (context.Context, func(*Command)) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, func(c *Command) {
		c.Line = func(l Line) {
			if strings.Contains(string(l.Text), text) {
				cancel()
			}
		}
	}
}
