-- The row that /readyz writes, to see whether anything can be written.

-- +goose Up
CREATE TABLE readiness (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_at TIMESTAMP NOT NULL
);

-- +goose Down
DROP TABLE readiness;
