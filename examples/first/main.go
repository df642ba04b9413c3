// Command first puts one job, processes it and ends. The job is kept in first.db.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/sqlite"
)

// Greet says whom to greet: what a job of the queue carries.
type Greet struct{ Name string }

func main() {
	if err := run("first.db"); err != nil {
		log.Fatal(err)
	}
}

func run(file string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	store, err := sqlite.Open(ctx, file)
	if err != nil {
		return err
	}
	defer store.Close()
	greet := holdfast.NewQueue[Greet](store, "greet")

	if _, err := greet.Put(ctx, Greet{Name: "Ada"}); err != nil {
		return err // nil would mean: the job is on disk
	}
	return holdfast.Consume(ctx, holdfast.Config{}, greet.Handle(func(ctx context.Context, job *holdfast.Job[Greet]) error {
		fmt.Println("hello,", job.Data.Name)
		stop()     // one job is enough here
		return nil // done; an error would be another attempt
	}))
}
