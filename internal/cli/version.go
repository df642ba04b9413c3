package cli

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/holdfastq/holdfast"
)

func (a *app) versionCommand() *cobra.Command {
	var f format
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "version, Go and SQLite",
		Long:    `Shows the versions of holdfast, of Go, and of the SQLite inside.`,
		Example: "  holdfast version\n  holdfast version --json",
		Args:    arguments(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.version(cmd.Context(), f) },
	}
	f.flags(cmd)
	return cmd
}

func (a *app) version(ctx context.Context, f format) error {
	sqlite, err := sqliteVersion(ctx)
	if err != nil {
		return err
	}
	v := versionView{
		Version: holdfast.Version(), Commit: commit(), Go: runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH, SQLite: sqlite,
	}
	if f.machine() {
		return a.one(v)
	}
	return a.print("holdfast %s  %s  %s  sqlite %s", v.Version, v.Go, v.System, v.SQLite)
}

// commit is the revision from which the binary was built, if the build knows it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
