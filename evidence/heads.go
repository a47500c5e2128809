package evidence

import "kakehashi/store"

const selectHeads = `SELECT participant, process, MAX(version), MIN(type) FROM evidence_leaves
WHERE (participant, process) > ($1, $2) GROUP BY participant, process ORDER BY participant, process LIMIT $3`

// Heads tells of each process that has leaves: the highest version on record, and
// the type of one of them.
func Heads(tx store.Tx, f func(participant, process string, version int64, typ string)) error {
	p, process := "", ""
	for more := true; more; {
		rows, err := tx.Query(selectHeads, p, process, checkRows)
		if err != nil {
			return err
		}
		read := 0
		for ; rows.Next(); read++ {
			var version int64
			var typ string
			if err := rows.Scan(&p, &process, &version, &typ); err != nil {
				rows.Close()
				return err
			}
			f(p, process, version, typ)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		more = read == checkRows
	}
	return nil
}
