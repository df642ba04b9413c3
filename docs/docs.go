// Package docs has the pages that the command prints.
package docs

import _ "embed"

// Scripts is how a script consumes jobs: `holdfast help script`.
//
//go:embed scripts.md
var Scripts string
