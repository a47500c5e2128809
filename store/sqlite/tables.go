package sqlite

import (
	"kakehashi/store"
	"kakehashi/store/schema"
)

// Tables lists the tables of all owners in tx's database, by name.
func (db *DB) Tables(tx store.Tx) ([]schema.Table, error) {
	return schema.Tables(tx, `SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY m.name, c.cid`)
}
