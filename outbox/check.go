package outbox

import (
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/finding"
	"kakehashi/participant"
	"kakehashi/store"
)

const eachJob = `SELECT ` + columns + `, owner FROM outbox_jobs WHERE (participant, id) > ($1, $2) ORDER BY participant, id LIMIT $3`

// Each reads all open jobs of tx's snapshot, whosever they are, with their owners.
func Each(tx store.Tx, f func(j Job, owner string)) error {
	p, id := participant.ID(""), ""
	for more := true; more; {
		rows, err := tx.Query(eachJob, string(p), id, batch)
		if err != nil {
			return err
		}
		read := 0
		for ; rows.Next(); read++ {
			var j Job
			var owner string
			var due, created, attempts, waited, turn int64
			var parked bool
			if err := rows.Scan((*string)(&j.Participant), &j.ID, &j.Lane, &j.Kind, &j.Peer, &j.Data, &due, &created,
				&attempts, &waited, &parked, &j.LastError, &turn, &owner); err != nil {
				rows.Close()
				return err
			}
			j.Due, j.Created, j.Attempts = time.UnixMicro(due), time.UnixMicro(created), int(attempts)
			p, id = j.Participant, j.ID
			f(j, owner)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		more = read == batch
	}
	return nil
}

// Check looks at all open jobs: the process of each is there and not over, and its
// owner has a lease. process names it, "" for a job without; over tells of it;
// leased nil leaves owners out.
func Check(tx store.Tx, r *finding.Report, process func(Job) string, over func(p participant.ID, id string) (there, over bool), leased func(owner string) bool) error {
	n := int64(0)
	err := Each(tx, func(j Job, owner string) {
		n++
		place := string(j.Participant) + " " + j.ID
		if leased != nil && owner != "" && !leased(owner) {
			r.Found(fault.CheckOwner.At(place, "job", j.ID, "owner", owner))
		}
		id := process(j)
		if id == "" {
			return
		}
		switch there, ended := over(j.Participant, id); {
		case !there:
			r.Found(fault.CheckJobGone.At(place, "job", j.ID, "kind", j.Kind, "id", id))
		case ended:
			r.Found(fault.CheckJobOver.At(place, "job", j.ID, "kind", j.Kind, "id", id))
		}
	})
	r.Counted("outbox_jobs", n)
	return err
}
