// Package holdfast is a durable job queue.
//
// Producers put jobs, consumers take and process them, a manager gives the jobs of a dead consumer to another, a
// cleaner removes what has been kept long enough. A [Store] keeps the jobs: package sqlite keeps them in one file,
// package memory in the memory of one process.
//
//	store, err := sqlite.Open(ctx, "app.db")
//	resize := holdfast.NewQueue[Resize](store, "resize")
//	id, err := resize.Put(ctx, Resize{"a.png", 640})
//	err = holdfast.Consume(ctx, holdfast.Config{}, resize.Handle(func(ctx context.Context, job *holdfast.Job[Resize]) error {
//		return shrink(ctx, job.Data)
//	}))
//
// What is promised, in short: when Put returns nil the job is on disk and is delivered until it is done, failed or
// cancelled; it may be delivered more than once, but only when its handler failed or gave it back, when a person asked,
// or when its consumer died or was cut off; only the current holder of a job's lease can report on it.
// docs/guarantees.md has every line of it, and the test that proves the line.
//
// Everything here is safe for concurrent use unless it says otherwise. Errors wrap one of the sentinels of this package,
// or the error of the context that was given: then nothing has happened.
package holdfast
