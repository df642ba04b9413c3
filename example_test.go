package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/holdfastq/holdfast"
	"github.com/holdfastq/holdfast/memory"
)

type Resize struct {
	File  string
	Width int
}

// Two queues; a job of the first produces one for the second, committed together with its own completion.
func Example() {
	ctx, end := context.WithCancel(context.Background())
	store := memory.New() // or sqlite.Open(ctx, "app.db"): then it is on disk
	resize := holdfast.NewQueue[Resize](store, "resize")
	upload := holdfast.NewQueue[string](store, "upload", holdfast.MaxAttempts(5))

	if _, err := resize.Put(ctx, Resize{"a.png", 640}); err != nil {
		log.Fatal(err)
	}
	err := holdfast.Consume(ctx, holdfast.Config{Concurrency: 8},
		resize.Handle(func(ctx context.Context, job *holdfast.Job[Resize]) error {
			small := fmt.Sprintf("%d-%s", job.Data.Width, job.Data.File)
			_, err := upload.In(job).Put(ctx, small)
			return err // nil: done, and the upload is put
		}),
		upload.Handle(func(ctx context.Context, job *holdfast.Job[string]) error {
			fmt.Println("uploaded", job.Data)
			end()
			return nil
		}))
	fmt.Println(err)
	// Output:
	// uploaded 640-a.png
	// <nil>
}

// A program with a loop of its own takes jobs one by one.
func ExampleQueue_Get() {
	ctx := context.Background()
	mails := holdfast.NewQueue[string](memory.New(), "mails")
	id, _ := mails.Put(ctx, "ana@example.com")

	job, err := mails.Get(ctx) // held, with heartbeats, until Done, Fail or Release
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("mail to", job.Data)
	fmt.Println(job.Done(ctx))

	info, _ := mails.Wait(ctx, id)
	fmt.Println(info.State)
	// Output:
	// mail to ana@example.com
	// <nil>
	// done
}

// What a handler returns says what becomes of the job.
func ExamplePermanent() {
	store := memory.New()
	q := holdfast.NewQueue[int](store, "q")
	ctx, end := context.WithCancel(context.Background())
	id, _ := q.Put(ctx, 3)
	go func() {
		info, _ := q.Wait(context.Background(), id)
		fmt.Println(info.State, info.Error)
		end()
	}()
	_ = holdfast.Consume(ctx, holdfast.Config{}, q.Handle(func(ctx context.Context, job *holdfast.Job[int]) error {
		switch job.Data {
		case 1:
			return holdfast.ReleaseAfter(time.Minute) // not now: no attempt spent
		case 2:
			return holdfast.RetryAfter(errors.New("rate limited"), time.Hour)
		}
		return holdfast.Permanent(errors.New("no such picture"))
	}))
	// Output: failed no such picture
}

// A job with a unique key is put once while it is alive.
func ExampleUnique() {
	ctx := context.Background()
	reports := holdfast.NewQueue[string](memory.New(), "reports")
	first, _ := reports.Put(ctx, "may", holdfast.Unique("may", holdfast.KeepFirst))
	again, _ := reports.Put(ctx, "may", holdfast.Unique("may", holdfast.KeepFirst))
	fmt.Println(first == again)
	_, err := reports.Put(ctx, "may", holdfast.Unique("may", holdfast.Refuse))
	fmt.Println(errors.Is(err, holdfast.ErrDuplicate))
	// Output:
	// true
	// true
}
