-- Times are milliseconds since 1970-01-01T00:00:00Z. Identifiers are never used again (AUTOINCREMENT).

-- Who is talking. Generation and fence live here, so that deleting a session loses neither.
CREATE TABLE tenants (
    key                INTEGER PRIMARY KEY AUTOINCREMENT,
    bot                TEXT    NOT NULL,
    platform           TEXT    NOT NULL,
    user               TEXT    NOT NULL,
    chat               TEXT    NOT NULL,
    tier               TEXT    NOT NULL,
    created_at         INTEGER NOT NULL,
    last_active_at     INTEGER NOT NULL,
    suspended          INTEGER NOT NULL,
    workspace_path     TEXT    NOT NULL,
    version            INTEGER NOT NULL DEFAULT 1,
    -- The highest generation any session had.
    generation         INTEGER NOT NULL DEFAULT 0,
    -- What was said in this generation and before is not told to a model again.
    forgotten          INTEGER NOT NULL DEFAULT 0,
    fence              INTEGER NOT NULL DEFAULT 0,
    -- The one turn that may write, while it runs.
    running_entry      INTEGER,
    running_generation INTEGER,
    last_seq           INTEGER NOT NULL DEFAULT 0,
    UNIQUE (bot, platform, user, chat)
) STRICT;
CREATE INDEX tenants_by_user ON tenants (platform, user, key);
CREATE INDEX tenants_running ON tenants (key) WHERE running_entry IS NOT NULL;

CREATE TABLE sessions (
    tenant           INTEGER PRIMARY KEY REFERENCES tenants (key) ON DELETE CASCADE,
    generation       INTEGER NOT NULL,
    state            TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- What was accepted. The text goes when the entry has its end, the digest stays for comparison.
CREATE TABLE inbox (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    platform       TEXT    NOT NULL,
    bot            TEXT    NOT NULL,
    update_key     TEXT    NOT NULL,
    tenant         INTEGER NOT NULL REFERENCES tenants (key) ON DELETE CASCADE,
    tenant_is_new  INTEGER NOT NULL,
    correlation_id TEXT    NOT NULL,
    accepted_at    INTEGER NOT NULL,
    message        TEXT    NOT NULL,
    digest         BLOB    NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    shown          TEXT    NOT NULL DEFAULT '[]',
    closed_at      INTEGER,
    outcome        TEXT,
    UNIQUE (platform, bot, update_key)
) STRICT;
CREATE INDEX inbox_open ON inbox (id) WHERE closed_at IS NULL;
CREATE INDEX inbox_closed ON inbox (closed_at, id) WHERE closed_at IS NOT NULL;
CREATE INDEX inbox_by_tenant ON inbox (tenant);

-- What is still to be delivered. A delivered or abandoned part is removed.
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    entry     INTEGER NOT NULL REFERENCES inbox (id) ON DELETE CASCADE,
    part      TEXT    NOT NULL,
    attempts  INTEGER NOT NULL DEFAULT 0,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    due_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_by_entry ON outbox (entry);

CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL REFERENCES tenants (key) ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    message    TEXT    NOT NULL,
    tokens     INTEGER NOT NULL,
    model      TEXT,
    at         INTEGER NOT NULL,
    UNIQUE (tenant, seq)
) STRICT;
CREATE INDEX history_by_time ON history (at);

-- What running turns have set aside. Those of an epoch that is over are settled when the store is opened. No foreign
-- key: a reservation is settled, never silently lost with its tenant.
CREATE TABLE reservations (
    tenant         INTEGER PRIMARY KEY,
    epoch          INTEGER NOT NULL,
    account        TEXT    NOT NULL,
    tokens         INTEGER NOT NULL,
    input_estimate INTEGER NOT NULL,
    begun_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE usage (
    account           TEXT    PRIMARY KEY,
    window_started_at INTEGER NOT NULL,
    used              INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    hash       TEXT    PRIMARY KEY,
    id         TEXT    NOT NULL,
    user       TEXT    NOT NULL,
    platform   TEXT    NOT NULL,
    tier       TEXT    NOT NULL,
    limited    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: how often the store was opened, and a place for the probe that finds out whether it takes writes again.
CREATE TABLE store_state (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    probe INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO store_state (id, epoch) VALUES (1, 0);
