-- The row that /readyz writes, to see whether anything can be written.

-- +goose Up
SET LOCAL lock_timeout = '10s';
CREATE TABLE readiness (
    id         smallint PRIMARY KEY CHECK (id = 1),
    written_at timestamptz NOT NULL
) WITH (fillfactor = 10);

-- +goose Down
DROP TABLE readiness;
