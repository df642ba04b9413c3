package holdfast

import "context"

// Scope is what new jobs can be committed with: a *Job, whose completion they join, or a Tx, the caller's own
// transaction. See [Queue.In].
type Scope interface {
	put(ctx context.Context, jobs []NewJob) ([]Inserted, error)
}

// Tx is a transaction of the caller's on the database that the store is in. The backend makes it: sqlite.(*Store).Join.
// What is put or done in it happens when the caller commits, and not at all otherwise.
type Tx struct{ store TxStore }

// TxStore is what a backend offers inside the caller's transaction. The methods mean what those of Store mean, except
// that the caller's commit decides.
type TxStore interface {
	Insert(ctx context.Context, in Insert) ([]Inserted, error)
	Finish(ctx context.Context, outcomes []Outcome) ([]Finished, error)
}

// NewTx makes a Tx; it is for backends.
func NewTx(s TxStore) Tx { return Tx{s} }

func (t Tx) put(ctx context.Context, jobs []NewJob) ([]Inserted, error) {
	return t.store.Insert(ctx, Insert{Jobs: jobs})
}

// storeScope puts by itself: the scope of a queue without In.
type storeScope struct{ store Store }

func (s storeScope) put(ctx context.Context, jobs []NewJob) ([]Inserted, error) {
	return s.store.Insert(ctx, Insert{Jobs: jobs})
}
