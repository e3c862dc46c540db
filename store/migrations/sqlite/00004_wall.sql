-- SQLite has no row-level security: one process has the file, and its statements' conditions are the only wall.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
