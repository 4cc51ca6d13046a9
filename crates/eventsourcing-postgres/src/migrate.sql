-- Forward only: a change is a new statement below that leaves earlier data readable.

CREATE SCHEMA IF NOT EXISTS daybook_log;

CREATE TABLE IF NOT EXISTS daybook_log.topics (
    id         INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL CHECK (partitions > 0)
);

-- The primary key is the fence against a second writer: two records cannot take one offset.
CREATE TABLE IF NOT EXISTS daybook_log.records (
    topic      INTEGER NOT NULL,
    partition  INTEGER NOT NULL,
    "offset"   BIGINT NOT NULL,
    key        BYTEA NOT NULL,
    value      BYTEA NOT NULL,
    headers    BYTEA NOT NULL,
    written_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);

-- Topics whose log has moved elsewhere: sealed here (by a check on the records), and whether the copy there is
-- complete.
CREATE TABLE IF NOT EXISTS daybook_log.moves (
    topic     INTEGER PRIMARY KEY,
    moved_to  TEXT NOT NULL,
    sealed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    complete  BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE SCHEMA IF NOT EXISTS daybook;
CREATE SCHEMA IF NOT EXISTS read;

-- One row per version of a projection; its tables live in the schema <name>_v<version>.
CREATE TABLE IF NOT EXISTS daybook.projections (
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('building', 'active', 'retired')),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
-- What made a version: the fold's version and the row's type. A table of its own, because adding a
-- column would wait, at every start, for whoever reads the table above.
CREATE TABLE IF NOT EXISTS daybook.projection_folds (
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (name, version)
);
-- When a version was last the live one: the way back leads to the latest of them.
CREATE TABLE IF NOT EXISTS daybook.projection_retirements (
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    retired_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS one_active_version ON daybook.projections (name) WHERE status = 'active';

-- "offset" is the last applied offset, -1 before the first; epoch and owner are the term open there.
CREATE TABLE IF NOT EXISTS daybook.checkpoints (
    projection TEXT NOT NULL,
    version    INTEGER NOT NULL,
    topic      TEXT NOT NULL,
    partition  INTEGER NOT NULL,
    "offset"   BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    owner      UUID,
    PRIMARY KEY (projection, version, topic, partition)
);

-- Events set aside because they could not be applied; the records themselves stay in the log.
CREATE TABLE IF NOT EXISTS daybook.parked_events (
    projection TEXT NOT NULL,
    version    INTEGER NOT NULL,
    topic      TEXT NOT NULL,
    partition  INTEGER NOT NULL,
    "offset"   BIGINT NOT NULL,
    key        TEXT NOT NULL,
    error      TEXT NOT NULL,
    parked_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version, topic, partition, "offset")
);
CREATE INDEX IF NOT EXISTS parked_keys ON daybook.parked_events (projection, version, key);
-- Events that an operator leaves out of a projection for ever, in all its versions.
CREATE TABLE IF NOT EXISTS daybook.skipped_events (
    projection TEXT NOT NULL,
    topic      TEXT NOT NULL,
    partition  INTEGER NOT NULL,
    "offset"   BIGINT NOT NULL,
    key        TEXT NOT NULL,
    reason     TEXT NOT NULL,
    skipped_by TEXT NOT NULL DEFAULT session_user,
    skipped_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, topic, partition, "offset")
);

-- The generations of a shop's topics, from the second on: each has a number of partitions of its own. The newest with
-- a `live_at` is the shop's; one without is being copied into, and the topics before it are sealed since `sealed_at`.
CREATE TABLE IF NOT EXISTS daybook.generations (
    prefix     TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 1),
    partitions INTEGER NOT NULL CHECK (partitions > 0),
    begun_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    sealed_at  TIMESTAMPTZ,
    live_at    TIMESTAMPTZ,
    PRIMARY KEY (prefix, generation)
);

-- Rebuilds that are under way or were interrupted: how far they have come, and what is wanted of them. Whether one
-- runs is said by its advisory lock.
CREATE TABLE IF NOT EXISTS daybook.rebuilds (
    projection   TEXT PRIMARY KEY,
    version      INTEGER NOT NULL,
    phase        TEXT NOT NULL,
    partitions   JSONB NOT NULL DEFAULT '[]',
    paused       BOOLEAN NOT NULL DEFAULT FALSE,
    cancelled    BOOLEAN NOT NULL DEFAULT FALSE,
    events_per_s BIGINT CHECK (events_per_s > 0),
    begun_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    reported_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Read models as they stood at an instant. Each is a projection of its own by `name`, with one active version and its
-- checkpoints, which say what of the log was looked at; `only_types` are those it was made of, all without.
CREATE TABLE IF NOT EXISTS daybook.snapshots (
    name       TEXT PRIMARY KEY,
    projection TEXT NOT NULL,
    as_of      TIMESTAMPTZ NOT NULL,
    only_types TEXT[],
    rows       BIGINT NOT NULL,
    events     BIGINT NOT NULL,
    built_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (projection, as_of)
);

CREATE OR REPLACE VIEW read.snapshots AS
    SELECT s.projection, s.as_of, s.name, s.only_types, s.built_at FROM daybook.snapshots s;

CREATE OR REPLACE VIEW read.checkpoints AS
    SELECT c.projection, c.topic, c.partition, c."offset", c.epoch
    FROM daybook.checkpoints c
    JOIN daybook.projections p ON p.name = c.projection AND p.version = c.version AND p.status = 'active';

-- How far each process (process manager) has worked off a partition: the next offset to look at.
CREATE TABLE IF NOT EXISTS daybook.process_checkpoints (
    process   TEXT NOT NULL,
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next      BIGINT NOT NULL,
    epoch     BIGINT NOT NULL,
    owner     UUID,
    PRIMARY KEY (process, topic, partition)
);
