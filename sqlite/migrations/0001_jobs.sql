-- Every name begins with holdfast_: the database may be the caller's own, with tables of its own.
-- Times are milliseconds since 1970, lease_until and swept_at those of the machine's monotonic clock.

create table holdfast_meta (
	one        integer primary key check (one = 1),
	store_id   blob not null,      -- of this database, for ever
	generation integer not null,   -- up by one at each restore from a backup
	schema     integer not null,   -- the latest migration
	min_reader integer not null,   -- the oldest schema that a program may know and still work here
	boot_id    text not null,      -- whose monotonic clock it is
	swept_at   integer not null    -- the latest sweep
) strict;

insert into holdfast_meta (one, store_id, generation, schema, min_reader, boot_id, swept_at)
values (1, randomblob(16), 1, 1, 1, '', 0);

-- Jobs carry the queue's number. The counters are exact: they change in the transaction that changes the jobs.
create table holdfast_queues (
	no        integer primary key,
	name      text not null unique,
	paused_at integer,
	paused_by text,
	scheduled integer not null default 0,
	waiting   integer not null default 0,
	running   integer not null default 0,
	done      integer not null default 0,
	failed    integer not null default 0,
	cancelled integer not null default 0
) strict;

create table holdfast_jobs (
	seq          integer primary key,         -- order of the puts, and of pages; never shown
	id           blob not null,
	queue        integer not null,
	state        integer not null,            -- 0 scheduled 1 waiting 2 running 3 done 4 failed 5 cancelled
	why          integer not null default 0,
	priority     integer not null,
	run_at       integer not null,
	due_at       integer,                     -- since when it could be taken, if that is not run_at
	made_at      integer not null,
	fence        integer not null default 0,
	attempt      integer not null default 0,
	failures     integer not null default 0,
	deaths       integer not null default 0,
	crashes      integer not null default 0,
	max_attempts integer not null,
	max_run      integer not null,            -- nanoseconds
	consumer     integer not null default 0,  -- number of the latest holder; 0: nobody in particular
	claim_no     integer not null default 0,
	lease_until  integer,                     -- while running
	unattended   integer not null default 0,  -- no process stands behind the holder
	started      integer not null default 0,  -- the handler has said that it runs
	started_at   integer,                     -- of the latest attempt, like all down to filed
	stopped_at   integer,
	waited       integer not null default 0,  -- milliseconds
	took         integer not null default 0,  -- nanoseconds
	outcome      integer not null default 0,
	filed        integer not null default 0,  -- the latest attempt is in holdfast_attempts already, or never was one
	ended_at     integer,                     -- of the job
	cancel_at    integer,
	start_by     integer,
	unique_key   text,
	parent       blob,
	cause        integer,
	error        text,
	progress     real,
	note         text,
	attached     integer not null default 0,
	form         integer not null default 0,  -- 1: payload is in holdfast_bodies; 2: result is; 4: there is a result here
	result       blob,
	payload      blob
) strict;

create unique index holdfast_jobs_id on holdfast_jobs (id);

-- The claim reads along these indexes: one range of each for each queue. Suspects are apart, because a claim takes few of
-- them and must not read past the others.
create index holdfast_jobs_ready on holdfast_jobs (queue, priority desc, run_at, seq) where state = 1 and deaths < 2;

create index holdfast_jobs_suspect on holdfast_jobs (queue, priority desc, run_at, seq) where state = 1 and deaths >= 2;

-- What is due next, and the timer for it.
create index holdfast_jobs_due on holdfast_jobs (queue, run_at) where state = 0;

-- Who holds what: ended leases of a consumer, all jobs of a dead one, a repeated claim.
create index holdfast_jobs_held on holdfast_jobs (consumer, lease_until) where state = 2;

create unique index holdfast_jobs_key on holdfast_jobs (queue, unique_key) where unique_key is not null and state <= 2;

-- Retention, and lists of few.
create index holdfast_jobs_ended on holdfast_jobs (queue, state, ended_at, seq) where state >= 3;

create index holdfast_jobs_late on holdfast_jobs (start_by) where start_by is not null and state <= 1;

create index holdfast_jobs_cause on holdfast_jobs (cause, seq) where cause is not null;

create index holdfast_jobs_attached on holdfast_jobs (seq) where attached = 1;

-- Payloads and results above 512 bytes: claim and finish never rewrite them.
create table holdfast_bodies (
	seq     integer primary key,
	payload blob,
	result  blob
) strict;

-- Attempts but the latest, which is in its job's row: written when the next one begins.
create table holdfast_attempts (
	seq        integer not null,
	n          integer not null,
	consumer   integer not null,
	started_at integer not null,
	stopped_at integer,
	took       integer not null,
	outcome    integer not null,
	error      text,
	primary key (seq, n)
) strict, without rowid;

create table holdfast_logs (
	seq   integer not null,
	n     integer not null,    -- of the attempt
	part  integer not null,
	bytes blob not null,
	primary key (seq, n, part)
) strict;

create table holdfast_consumers (
	no          integer primary key,
	id          blob not null unique,
	seen_at     integer,                     -- null: it never made itself known
	started_at  integer,
	name        text not null default '',
	host        text not null default '',
	pid         integer not null default 0,
	version     text not null default '',
	queues      text not null default '[]',
	max_crashes integer not null default 0,
	unattended  integer not null default 0,
	ended       integer not null default 0,
	boot_id     text                         -- not null: it holds a lock in the folder beside the database
) strict;

-- Figures of a minute; the histograms are in the form of holdfast.Histogram.
create table holdfast_rollups (
	queue    integer not null,
	minute   integer not null,   -- since 1970
	made     integer not null,
	started  integer not null,
	done     integer not null,
	failed   integer not null,
	ended    integer not null,
	returned integer not null,
	waited   blob not null,
	took     blob not null,
	primary key (queue, minute)
) strict, without rowid;

create table holdfast_activity (
	no      integer primary key,
	id      blob not null unique,
	at      integer not null,
	actor   text not null,
	via     text not null,
	action  text not null,
	what    text not null,
	changed integer not null,
	skipped integer not null
) strict;

create table holdfast_marks (
	name  text primary key,
	value blob not null
) strict, without rowid;

-- Fences of jobs that a person deleted: an old lease never fits a later job of the same id.
create table holdfast_fences (
	id    blob primary key,
	fence integer not null,
	at    integer not null
) strict, without rowid;
