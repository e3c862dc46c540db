package store

// The triggers of the schema note what a change of a session adds to the numbers. On PostgreSQL the statements that are sent
// most do it themselves, which costs a third, and count up the sessions' notes so that the trigger leaves it to them
// (migration 8).

// addBeginningNotes appends an INSERT of what a table of sessions that were made adds to the numbers.
func (st *statement) addBeginningNotes(table string) *statement {
	return st.add(`INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, open, total)
		SELECT tenant_id, partner_id, user_id, coalesce(device_type, ''), created_at, 1, 1 FROM ` + table)
}

// addEndingNotes appends an INSERT of what a table of sessions that somebody ended takes off the numbers.
func (st *statement) addEndingNotes(table string) *statement {
	return st.add(`INSERT INTO session_changes (tenant_id, partner_id, user_id, device_type, created_at, revoked_at, open, revoked)
		SELECT tenant_id, partner_id, user_id, coalesce(device_type, ''), created_at, revoked_at, -1, 1 FROM ` + table)
}
