package postgres

import "time"

// Rest has the connections that rest do so for d longer.
func (db *DB) Rest(d time.Duration) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, c := range db.idle {
		c.used = c.used.Add(-d)
	}
}
