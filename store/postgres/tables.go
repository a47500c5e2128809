package postgres

import (
	"kakehashi/store"
	"kakehashi/store/schema"
)

// Tables lists the tables of all owners in tx's database, by name.
func (db *DB) Tables(tx store.Tx) ([]schema.Table, error) {
	return schema.Tables(tx, `SELECT CAST(c.table_name AS TEXT), CAST(c.column_name AS TEXT), CAST(c.data_type AS TEXT),
		CAST(COALESCE(k.ordinal_position, 0) AS BIGINT)
		FROM information_schema.columns c
		JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
		LEFT JOIN (information_schema.table_constraints p JOIN information_schema.key_column_usage k
			ON k.constraint_schema = p.constraint_schema AND k.constraint_name = p.constraint_name AND k.table_name = p.table_name)
			ON p.constraint_type = 'PRIMARY KEY' AND p.table_schema = c.table_schema AND p.table_name = c.table_name AND k.column_name = c.column_name
		WHERE c.table_schema = current_schema()
		ORDER BY CAST(c.table_name AS TEXT) COLLATE "C", c.ordinal_position`)
}
