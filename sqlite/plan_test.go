package sqlite

import (
	"slices"
	"strings"
	"testing"
)

// wholeIndexes are the steps that may read an index from its beginning: to its first row alone, or because all in it are
// meant, as are the jobs that run; and a list that the caller gave.
var wholeIndexes = []string{
	"SCAN holdfast_jobs USING COVERING INDEX holdfast_jobs_held",
	"SCAN holdfast_jobs USING INDEX holdfast_jobs_held",
	"SCAN json_each VIRTUAL TABLE INDEX 1:",
}

// Every query that runs while jobs are taken, counted or listed goes along an index: none reads a table from end to end.
func TestQueriesScanNothing(t *testing.T) {
	s := openTest(t)
	search := search{}
	queries := map[string]string{
		"insert: same id": selectSame, "insert: key": selectKeyHolder, "insert: fence": takeFence,
		"claim: ready": selectReady, "claim: promote": promoteQueue, "claim: repeated": selectRepeated, "claim: jobs": claimJobs,
		"claim: paused": selectPaused, "claim: anything held": anyHeld,
		"extend": extendJob, "extend: log": measureLog,
		"finish: find": selectJob, "finish: done": doneJob, "finish: done in hand": doneInHand, "finish: save": saveJob,
		"figures: read": selectRollup, "counters": addCounts,
		"sweep: next holder": nextHolder, "sweep: holder": selectHolder, "sweep: held": selectHeld, "sweep: grace": graceHolder,
		"sweep: late": selectLate, "sweep: any late": anyLate,
		"purge: ended": selectEnded, "purge: job": deleteJob,
		"counts: oldest": selectOldest,
		"wait: queue":    lookQueue, "wait: fresh": lookFresh, "wait: due": lookDue, "wait: asked": lookAsked, "wait: repeated": lookRepeated,
		"show": selectJobData, "show: attempts": selectAttempts, "show: log": selectLog,
		"list: in order": search.selection() + ` where ` + filterSQL + search.order(),
		"list: by id":    search.selection() + whereID + filterSQL, "list: by place": search.selection() + whereSeq + filterSQL,
		"list: waiting": selectSeqs[1], "list: done": selectSeqs[3], "list: scheduled": selectSeqs[0], "list: running": selectSeqs[2],
	}
	for i, sql := range removeFrom {
		queries["purge: part "+string(rune('1'+i))] = sql
	}
	err := s.writer.do(t.Context(), turnSweep, 1, 0, func(tx *tx) error {
		for name, sql := range queries {
			st, err := tx.session.(*conn).prepare(sql)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			args := make([]value, st.params)
			err = tx.query("explain query plan "+sql, func(r row) error {
				step := r.text(3)
				if strings.HasPrefix(step, "SCAN") && !slices.Contains(wholeIndexes, step) {
					t.Errorf("%s: %s", name, step)
				}
				if strings.Contains(step, "TEMP B-TREE") {
					t.Errorf("%s sorts: %s", name, step)
				}
				if strings.Contains(step, "PRIMARY KEY (rowid>? AND rowid<?)") && name != "list: in order" {
					t.Errorf("%s reads the jobs themselves: %s", name, step)
				}
				t.Logf("%-22s %s", name, step)
				return nil
			}, args...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
