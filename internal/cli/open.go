package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/holdfastq/holdfast"
)

// defaultStore is where the store is when nobody says otherwise.
const defaultStore = "./holdfast.db"

// opener opens the store of a file, and makes it if mayMake; made says that it did.
type opener func(ctx context.Context, file string, mayMake bool) (s holdfast.Store, made bool, err error)

// existing opens the store for a command that makes none.
func (a *app) existing(ctx context.Context) (holdfast.Store, error) { return a.store(ctx, false) }

// making opens the store, and makes it where there is none, and says so.
func (a *app) making(ctx context.Context) (holdfast.Store, error) { return a.store(ctx, true) }

// store is the only way to a store: what --store names, else HOLDFAST_STORE, else the config file, else ./holdfast.db.
func (a *app) store(ctx context.Context, mayMake bool) (holdfast.Store, error) {
	name, origin, err := a.storeName()
	if err != nil {
		return nil, err
	}
	if scheme, _, is := strings.Cut(name, "://"); is {
		// The rest of the address may hold a password: it is not repeated.
		return nil, usagef("a store at %s:// is not in this version%s; use a file, like --store %s", scheme, origin, defaultStore)
	}
	s, made, err := a.open(ctx, name, mayMake)
	switch {
	case errors.Is(err, errNoStore):
		whole := name
		if path, err := filepath.Abs(name); err == nil {
			whole = path
		}
		return nil, &remedy{err, fmt.Sprintf("no store at %s%s; use --store, go to the folder where it is, or make one with holdfast put", clean(whole), origin)}
	case errors.Is(err, errForeign):
		return nil, &remedy{err, fmt.Sprintf("%s%s is a database of another program; holdfast keeps its own file: use another name for --store", clean(name), origin)}
	case err != nil:
		return nil, err
	case made:
		a.say("made the store %s", clean(name))
	}
	return s, nil
}

// storeName gives the store's name, and for messages where it comes from if not from the command line.
func (a *app) storeName() (name, origin string, err error) {
	c, err := a.config()
	if err != nil {
		return "", "", err
	}
	o := c.Origin("store")
	switch {
	case o.IsDefault():
		return defaultStore, "", nil
	case o.Flag != "":
		return c.Store, "", nil
	case o.Env != "":
		return c.Store, " (from " + o.Env + ")", nil
	}
	return c.Store, fmt.Sprintf(" (from %s)", clean(o.String())), nil
}
