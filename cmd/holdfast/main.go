// Command holdfast puts, takes, shows and mends jobs, and serves. `holdfast help` says more.
package main

import (
	"os"

	"github.com/holdfastq/holdfast/internal/cli"
)

func main() { os.Exit(cli.Main()) }
