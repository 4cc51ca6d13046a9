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
