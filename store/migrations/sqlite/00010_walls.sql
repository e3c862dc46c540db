-- SQLite has no walls (migration 4).

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1;
