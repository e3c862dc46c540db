-- What changes that are folded add to a user's sessions, while more changes wait: the user is counted when none wait any more.

-- +goose Up
CREATE TABLE user_deltas (
    tenant_id TEXT NOT NULL,
    user_id   TEXT NOT NULL,
    open      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE user_deltas; -- whose users are not counted then; sessiond check --repair makes their number exact
