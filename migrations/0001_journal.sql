-- The journal, first edition.
--
-- `event` is the truth: append-only, dense, hash-chained. `plan` and `blob` hold what events name
-- by digest; they are never changed either. Every other table is derived from events in the
-- transaction that appends them, and can be emptied and rebuilt.
--
-- Times are RFC 3339 in UTC with microseconds, 27 characters, so that text order is time order.

PRAGMA application_id = 1398032974; -- "STJN"

CREATE TABLE journal (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    journal_id TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE plan (
    id TEXT PRIMARY KEY CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
    product TEXT NOT NULL,
    revision TEXT,
    text TEXT NOT NULL,
    images TEXT NOT NULL CHECK (json_valid(images)), -- [{name, origin, offset, size, sha256}]
    station TEXT NOT NULL,
    stored_at TEXT NOT NULL
) STRICT;

CREATE TRIGGER plan_is_never_changed BEFORE UPDATE ON plan
BEGIN SELECT RAISE(ABORT, 'plans are never changed'); END;
CREATE TRIGGER plan_is_never_deleted BEFORE DELETE ON plan
BEGIN SELECT RAISE(ABORT, 'plans are never deleted'); END;

CREATE TABLE event (
    seq INTEGER PRIMARY KEY CHECK (seq > 0),
    at TEXT NOT NULL CHECK (length(at) = 27),
    elapsed_us INTEGER NOT NULL CHECK (elapsed_us >= 0),
    run INTEGER CHECK (run > 0),
    kind TEXT NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body)),
    prev_hash BLOB NOT NULL CHECK (length(prev_hash) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE INDEX event_by_run ON event (run, seq) WHERE run IS NOT NULL;

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
-- Also what stops INSERT OR REPLACE, which deletes without firing delete triggers.
CREATE TRIGGER event_is_dense BEFORE INSERT ON event
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM event)
BEGIN SELECT RAISE(ABORT, 'events are numbered without gaps'); END;

-- Bytes that attachments name by digest.
CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'),
    bytes BLOB NOT NULL
) STRICT;

CREATE TRIGGER blob_is_never_changed BEFORE UPDATE ON blob
BEGIN SELECT RAISE(ABORT, 'attachments are never changed'); END;
CREATE TRIGGER blob_is_never_deleted BEFORE DELETE ON blob
BEGIN SELECT RAISE(ABORT, 'attachments are never deleted'); END;

-- Derived from here on.

CREATE TABLE run (
    run INTEGER PRIMARY KEY,
    plan TEXT NOT NULL REFERENCES plan (id),
    product TEXT NOT NULL,
    revision TEXT NOT NULL, -- '' when the plan has none
    bays TEXT NOT NULL CHECK (json_valid(bays)),
    lot TEXT,
    operator TEXT,
    units INTEGER,
    station TEXT NOT NULL,
    started_at TEXT NOT NULL,
    started_seq INTEGER NOT NULL UNIQUE,
    finished_at TEXT,
    pass INTEGER NOT NULL DEFAULT 0,
    fail INTEGER NOT NULL DEFAULT 0,
    error INTEGER NOT NULL DEFAULT 0,
    aborted INTEGER NOT NULL DEFAULT 0,
    reason TEXT
) STRICT;

CREATE INDEX run_that_is_open ON run (run) WHERE finished_at IS NULL;

CREATE TABLE unit (
    mac TEXT PRIMARY KEY CHECK (
        mac GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'
        AND mac NOT IN ('00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff')
    ),
    chip TEXT NOT NULL,
    revision TEXT NOT NULL,
    flash_size INTEGER CHECK (flash_size >= 0),
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    first_attempt INTEGER NOT NULL,
    last_attempt INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_outcome TEXT CHECK (last_outcome IN ('pass', 'fail', 'error', 'aborted'))
) STRICT;

CREATE TABLE attempt (
    attempt INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run (run),
    bay TEXT NOT NULL,
    mac TEXT REFERENCES unit (mac),
    serial TEXT,
    started_at TEXT NOT NULL,
    started_seq INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    finished_at TEXT,
    outcome TEXT CHECK (outcome IN ('pass', 'fail', 'error', 'aborted')),
    took_us INTEGER CHECK (took_us >= 0),
    failed_step TEXT,
    class TEXT,
    code TEXT,
    message TEXT,
    hint TEXT,
    CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CHECK (outcome IS NOT 'pass' OR (mac IS NOT NULL AND code IS NULL))
) STRICT;

CREATE INDEX attempt_by_run ON attempt (run);
CREATE INDEX attempt_by_mac ON attempt (mac) WHERE mac IS NOT NULL;
CREATE INDEX attempt_that_is_open ON attempt (attempt) WHERE outcome IS NULL;

CREATE TABLE step (
    attempt INTEGER NOT NULL REFERENCES attempt (attempt),
    step TEXT NOT NULL,
    try_number INTEGER NOT NULL CHECK (try_number > 0),
    started_at TEXT NOT NULL,
    started_seq INTEGER NOT NULL,
    started_us INTEGER NOT NULL,
    outcome TEXT CHECK (outcome IN ('pass', 'fail', 'error', 'aborted', 'skipped')),
    took_us INTEGER CHECK (took_us >= 0),
    class TEXT,
    code TEXT,
    message TEXT,
    hint TEXT,
    PRIMARY KEY (attempt, step, try_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE measurement (
    seq INTEGER PRIMARY KEY,
    attempt INTEGER NOT NULL,
    step TEXT NOT NULL,
    try_number INTEGER NOT NULL,
    name TEXT NOT NULL,
    number REAL CHECK (number BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
    text TEXT,
    unit TEXT,
    min REAL CHECK (min BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
    max REAL CHECK (max BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
    equals TEXT,
    verdict TEXT NOT NULL CHECK (verdict IN ('pass', 'fail', 'recorded')),
    FOREIGN KEY (attempt, step, try_number) REFERENCES step (attempt, step, try_number),
    UNIQUE (attempt, step, try_number, name),
    CHECK ((number IS NULL) <> (text IS NULL))
) STRICT;

CREATE TABLE serial (
    serial TEXT PRIMARY KEY CHECK (length(serial) BETWEEN 1 AND 128),
    pool TEXT NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    mac TEXT CHECK (
        mac GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'
        AND mac NOT IN ('00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff')
    ),
    state TEXT NOT NULL CHECK (state IN ('reserved', 'bound', 'committed', 'void')),
    reserved_at TEXT NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempt (attempt), -- the latest that reserved, bound or committed it
    reason TEXT,
    UNIQUE (pool, serial),
    CHECK (state NOT IN ('bound', 'committed') OR mac IS NOT NULL),
    CHECK (state <> 'reserved' OR mac IS NULL)
) STRICT;

CREATE UNIQUE INDEX serial_one_per_unit ON serial (pool, mac) WHERE mac IS NOT NULL AND state <> 'void';
CREATE INDEX serial_by_position ON serial (pool, position);
CREATE INDEX serial_by_mac ON serial (mac) WHERE mac IS NOT NULL;
CREATE INDEX serial_by_attempt ON serial (attempt);
CREATE INDEX serial_that_is_loose ON serial (serial) WHERE state = 'reserved';

CREATE TABLE attachment (
    seq INTEGER PRIMARY KEY,
    attempt INTEGER NOT NULL REFERENCES attempt (attempt),
    step TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blob (sha256),
    size INTEGER NOT NULL CHECK (size >= 0)
) STRICT;

CREATE INDEX attachment_by_attempt ON attachment (attempt);

-- Which units of a product passed, and how many: what `seen_before` and `quota` ask.
CREATE TABLE passed (
    product TEXT NOT NULL,
    revision TEXT NOT NULL,
    mac TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (product, revision, mac)
) STRICT, WITHOUT ROWID;

CREATE TABLE passed_count (
    product TEXT NOT NULL,
    revision TEXT NOT NULL,
    units INTEGER NOT NULL,
    PRIMARY KEY (product, revision)
) STRICT, WITHOUT ROWID;
