-- What cannot be undone, and who allowed it. Derived from events like every table but the first four.

-- One row per intent. `state`: open until the pulse ended or its unit was read; `released` is an
-- unclear one whose unit a person let go on.
CREATE TABLE burn (
    intended_seq INTEGER PRIMARY KEY,
    mac TEXT NOT NULL CHECK (
        mac GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'
        AND mac NOT IN ('00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff')
    ),
    chip TEXT NOT NULL,
    plan TEXT NOT NULL CHECK (length(plan) = 64 AND plan NOT GLOB '*[^0-9a-f]*'),
    number INTEGER NOT NULL CHECK (number > 0 AND number <= of),
    of INTEGER NOT NULL,
    block INTEGER NOT NULL CHECK (block BETWEEN 0 AND 31),
    pulse TEXT NOT NULL CHECK (json_valid(pulse)), -- the whole record of the intent
    attempt INTEGER REFERENCES attempt (attempt),
    approval TEXT,
    intended_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'open', 'done', 'silent', 'failed', 'not_done', 'partly', 'unclear', 'released')),
    left_open INTEGER NOT NULL DEFAULT 0 CHECK (left_open IN (0, 1)), -- a start-up has counted it
    settled_seq INTEGER,
    settled_at TEXT,
    reconciled INTEGER NOT NULL DEFAULT 0 CHECK (reconciled IN (0, 1)),
    tries INTEGER,
    before TEXT,
    after TEXT,
    detail TEXT,
    CHECK ((state = 'open') = (settled_seq IS NULL))
) STRICT;

-- A pulse is burned again only when it is known not to be there, or not completely.
CREATE UNIQUE INDEX burn_once ON burn (mac, plan, number)
    WHERE state NOT IN ('failed', 'not_done', 'partly');
-- A chip burns one pulse at a time.
CREATE UNIQUE INDEX burn_that_is_open ON burn (mac) WHERE state = 'open';
CREATE INDEX burn_by_unit ON burn (mac, block);
-- What an approval was named for.
CREATE INDEX burn_by_approval ON burn (approval) WHERE approval IS NOT NULL;
CREATE INDEX burn_by_attempt ON burn (attempt) WHERE attempt IS NOT NULL;

CREATE TABLE approval (
    approval TEXT PRIMARY KEY CHECK (length(approval) = 32 AND approval NOT GLOB '*[^0-9a-f]*'),
    subject TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at TEXT NOT NULL,
    granted_seq INTEGER NOT NULL UNIQUE,
    expires_at TEXT NOT NULL CHECK (length(expires_at) = 27),
    uses INTEGER NOT NULL CHECK (uses > 0),
    used INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    used_at TEXT,
    used_by TEXT,
    CHECK (expires_at > granted_at)
) STRICT;

CREATE INDEX approval_by_subject ON approval (subject);
-- Recounts the uses of an approval without reading the whole journal.
CREATE INDEX event_that_uses_an_approval ON event (seq) WHERE kind = 'approval_used';

CREATE TABLE release (
    released_seq INTEGER PRIMARY KEY,
    plan TEXT NOT NULL REFERENCES plan (id),
    product TEXT NOT NULL,
    revision TEXT,
    released_by TEXT NOT NULL,
    released_at TEXT NOT NULL,
    key TEXT NOT NULL CHECK (length(key) = 64 AND key NOT GLOB '*[^0-9a-f]*'),
    signature TEXT NOT NULL CHECK (length(signature) = 128 AND signature NOT GLOB '*[^0-9a-f]*'),
    withdrawn_at TEXT,
    withdrawn_by TEXT,
    reason TEXT
) STRICT;

CREATE UNIQUE INDEX release_in_force ON release (plan) WHERE withdrawn_at IS NULL;
CREATE INDEX release_by_plan ON release (plan);
-- Finds what took a release back without reading the whole journal.
CREATE INDEX event_about_a_release ON event (seq)
    WHERE kind IN ('recipe_released', 'recipe_withdrawn');

-- Which keys exist or existed. The keys themselves are never in the journal.
CREATE TABLE key (
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    owner TEXT NOT NULL, -- MAC of the unit, 'shared' when it is nobody's own
    kind TEXT NOT NULL,  -- '' when it was forgotten without having been sealed under this journal
    purpose TEXT,
    fingerprint TEXT NOT NULL,
    custody TEXT NOT NULL CHECK (custody IN ('escrow', 'forget')),
    sealed_at TEXT,
    attempt INTEGER REFERENCES attempt (attempt),
    forgotten_at TEXT,
    forgotten_by TEXT,
    reason TEXT,
    PRIMARY KEY (name, owner)
) STRICT, WITHOUT ROWID;

CREATE INDEX key_by_owner ON key (owner);

CREATE TABLE quarantine (
    since_seq INTEGER PRIMARY KEY,
    mac TEXT NOT NULL CHECK (
        mac GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'
        AND mac NOT IN ('00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff')
    ),
    attempt INTEGER REFERENCES attempt (attempt),
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    since_at TEXT NOT NULL,
    released_at TEXT,
    released_by TEXT,
    released_reason TEXT
) STRICT;

CREATE INDEX quarantine_in_force ON quarantine (mac) WHERE released_at IS NULL;
CREATE INDEX quarantine_by_unit ON quarantine (mac);
