package dataplane

import (
	"kakehashi/internal/fault"
	"kakehashi/internal/finding"
	"kakehashi/participant"
	"kakehashi/store"
)

// Check looks at the grants that are not closed: the transfer of each is there and
// has not ended. ended tells that of a transfer.
func Check(tx store.Tx, r *finding.Report, ended func(p participant.ID, transfer string) (there, ended bool)) error {
	const page = 500
	n := int64(0)
	p, id := participant.ID(""), ""
	for more := true; more; {
		rows, err := tx.Query(`SELECT participant, id, transfer, agreement, state FROM dataplane_grants
			WHERE (participant, id) > ($1, $2) AND state <> 'closed' ORDER BY participant, id LIMIT $3`, string(p), id, page)
		if err != nil {
			return err
		}
		read := 0
		for ; rows.Next(); read++ {
			var transfer, agreement, state string
			if err := rows.Scan((*string)(&p), &id, &transfer, &agreement, &state); err != nil {
				rows.Close()
				return err
			}
			there, over := ended(p, transfer)
			if there && !over {
				continue
			}
			was := "-"
			if over {
				was = "over"
			}
			r.Found(fault.CheckGrant.At(string(p)+" "+id, "grant", id, "state", state, "id", transfer, "over", was, "agreement", agreement))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		n += int64(read)
		more = read == page
	}
	r.Counted("dataplane_grants (open)", n)
	return nil
}
