package postgres

import (
	"kakehashi/store"
	"kakehashi/store/schema"
)

// Tables lists the tables of all owners in tx's database, by name.
func (db *DB) Tables(tx store.Tx) ([]schema.Table, error) {
	return schema.Tables(tx, `SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT), CAST(format_type(a.atttypid, NULL) AS TEXT),
		CAST(COALESCE(array_position(string_to_array(CAST(i.indkey AS TEXT), ' '), CAST(a.attnum AS TEXT)), 0) AS BIGINT)
		FROM pg_class c
		JOIN pg_namespace s ON s.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
		WHERE s.nspname = current_schema() AND c.relkind = 'r'
		ORDER BY CAST(c.relname AS TEXT) COLLATE "C", a.attnum`)
}
