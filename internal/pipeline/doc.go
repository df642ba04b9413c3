// Package pipeline has files as jobs: a producer that makes files, a consumer that makes new files of them, and a
// cleaner for those that failed. All of it stays inside one folder, the primary path, by os.Root.
//
// Each actor works in steps, in an order that leaves nothing undone if the process, or the machine, ends between any
// two of them:
//
//	Generate   intent recorded in the store · temporary name, written and synced · into place · folder synced ·
//	           job put and intent cleared, in one step of the store
//	Transform  input read, output written under a temporary name and synced · into place · folder synced · job done
//	           attempts used up: job failed, with path, size and time of its input · input renamed *.failed
//	           retried: *.failed renamed back, if path, size and time are those recorded · as above
//	Clean      *.failed removed, if path, size and time are those recorded · its job deleted
//
// Whoever comes next goes on: a producer looks at the intent of the one before it, a repeated attempt makes the same
// output again, and the cleaner does a rename that was missed. Nothing is ever removed because of its name alone.
package pipeline
