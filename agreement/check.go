package agreement

import (
	"kakehashi/internal/fault"
	"kakehashi/internal/finding"
	"kakehashi/internal/format"
	"kakehashi/store"
)

// Check reads all agreements and puts each into known.
func Check(tx store.Tx, r *finding.Report, known *finding.Index, told func(rows int)) error {
	const page = 500
	n, p, id := int64(0), "", ""
	for more := true; more; {
		rows, err := tx.Query(`SELECT participant, id, body, ended, why FROM agreement_agreements
			WHERE (participant, id) > ($1, $2) ORDER BY participant, id LIMIT $3`, p, id, page)
		if err != nil {
			return err
		}
		read := 0
		for ; rows.Next(); read++ {
			var body []byte
			var ended int64
			var why string
			if err := rows.Scan(&p, &id, &body, &ended, &why); err != nil {
				rows.Close()
				return err
			}
			known.Put(p, id, ended)
			if _, err := decode(id, body, ended, why); err != nil {
				if _, newer := format.Of(err); !newer {
					r.Found(fault.CheckBody.At(p+" "+id, "what", "agreement", "id", id, "reason", err.Error()))
				}
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		n += int64(read)
		told(read)
		more = read == page
	}
	r.Counted("agreement_agreements", n)
	return nil
}
