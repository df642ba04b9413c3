// Package power cuts the power of a store, kills it, lets its disk fail and fills it, at every point that matters, and
// checks what is left. All of it is in its tests; no program links it.
//
// # What is tried
//
//	TestPowerCutsLoseNothing                       the life of a store is recorded with strace: every write, cut, sync, new
//	                                               name and removal, with its bytes, and every answer that the life got. A
//	                                               disk is then played forward to each point, and the plug is pulled: all
//	                                               that was not synced is gone, or all is there, or random parts of it, writes
//	                                               torn at sectors of 512 bytes, files grown without their contents, names
//	                                               gone or back again. SQLite recovers what is left.
//	TestPlainControlWithFullSyncLosesNothing,      the control: the plainest queue on database/sql, in the same harness, must
//	and control_lost in the line of the first      lose with synchronous=NORMAL and must not with FULL
//	TestStoreWithoutSyncsIsSeenToLose              the store's own record without the syncs of its log must lose
//	TestKilledAtEverySystemCallLosesNothing        SIGKILL at the first call that changes a file, at the second, … to the end
//	TestFailingDiskLosesNothing                    EIO or ENOSPC at the n-th call that writes or syncs: once, for a while, for
//	                                               good, or after a write of half of its bytes
//	TestFailingDiskDuringRecoveryLosesNothing      the same in a life that recovers what a killed one has left
//	TestFolderThatCannotBeSyncedAcknowledgesNothing
//	TestFullDiskRefusesAndComesBack                a small disk is filled, and gets room again
//
// A life puts (alone, in batches, from several goroutines in one commit), claims, finishes with results and new jobs,
// fails, releases, extends with a log, deletes, retries, cancels, pauses, marks, sweeps, purges, has checkpoints of all
// four kinds made, closes and opens again; in one history of four a sync fails, and what it did not write never comes
// even if later syncs succeed.
//
// # What is checked
//
// Of a power cut: the files that are left, recovered by SQLite, must hold page by page what some commit of that life
// made, and none from before an answer that had been given. Whatever differs from all commits goes through quick_check
// and a comparison row by row before it is called wrong. Each commit itself is checked once: integrity_check;
// every acknowledged put, claim, outcome, deletion, pause and mark; nothing that nobody asked for; counters equal to
// rows; calls of several jobs whole or not at all; no job with two outcomes. One state of a hundred is opened as a store
// too, listed, used and checked again. Of kills and faults: the same of what is left, each time, and each time the store
// is opened and used; a call that was refused with certainty must not have happened.
//
// # How to run it
//
//	go test ./internal/crashtest/power                                   fit for every change: a minute of one core
//	go test ./internal/crashtest/power -v                                the same, with the figures, a line of JSON each
//	go test ./internal/crashtest/power -v -full -timeout 90m             the big numbers
//	go test ./internal/crashtest/power -run PowerCuts -v -seed 7 -states 100000 -histories 40
//
// A life is drawn from its seed, but two runs of it differ: ids are new and goroutines meet otherwise. So a failed test
// keeps the record of its life and prints how to see that state again; a state is POINT/NUMBER, the step of the record
// after which the plug was pulled and how often:
//
//	go test ./internal/crashtest/power -run PowerCuts -record /tmp/holdfast-power-record-123 -states 20000 -state 108/0
//
// strace is needed for the records, a kernel with seccomp user notification (Linux 5.5) for kills and faults, root for
// the full disk. What is missing is skipped aloud; HOLDFAST_TEST_REQUIRE=strace,seccomp,root makes it a failure.
//
// # Figures
//
// On two busy cores of a virtual Xeon, Linux 6.18, Go 1.26, not at one commit all of them; nothing lost, nothing
// corrupt, nothing unexpected, but for what is named below:
//
//	power cuts          1,008,997 states of 200 lives with 11,901 commits, 9,823 opened as a store; 17 minutes
//	                    (a0ed189, -full -seed 1001); the control lost in 3,331 of 5,010 states
//	kills               1,169, at every call of a life of 60 steps; 56 s (0368ba1, -steps 60)
//	failing disk        1,525 faults, four kinds at every call of a life of 15 steps; 29 s (0368ba1, -stride 1)
//	  during recovery   720 faults, four kinds at the first 60 calls after a kill; 18 s (the same)
//	full disk           100 rounds, 1,300 calls refused, a put works at most 5 ms after there is room (0368ba1, -full)
//
// # What it has found
//
//	SQLite syncs the folder when it makes a new log, and goes on when that fails: after a power cut the log, with every
//	job acknowledged since, could be gone. Open and the recovery after a failed commit now sync the folder themselves.
//	go test ./internal/crashtest/power -run TestFolderThatCannotBeSynced
package power
