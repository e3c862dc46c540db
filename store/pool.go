package store

import "time"

// PoolStats is the state of the connections to the database.
type PoolStats struct {
	// Open counts the connections, those in use and those that are idle. MaxOpen bounds them; 0 is no bound.
	Open, InUse, Idle, MaxOpen int
	// WaitCount is how often a caller had to wait for a connection since the store was opened, WaitDuration the sum of these
	// waits.
	WaitCount    int64
	WaitDuration time.Duration
}

// Pool returns the state of the connections now.
func (s *Store) Pool() PoolStats {
	if s.engine.IsPostgres() {
		stat := s.engine.Pool.Stat()
		return PoolStats{
			Open: int(stat.TotalConns()), InUse: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()),
			MaxOpen: int(stat.MaxConns()), WaitCount: stat.EmptyAcquireCount(), WaitDuration: stat.EmptyAcquireWaitTime(),
		}
	}
	db, err := s.engine.SQL()
	if err != nil {
		return PoolStats{}
	}
	stat := db.Stats()
	return PoolStats{
		Open: stat.OpenConnections, InUse: stat.InUse, Idle: stat.Idle, MaxOpen: stat.MaxOpenConnections,
		WaitCount: stat.WaitCount, WaitDuration: stat.WaitDuration,
	}
}
