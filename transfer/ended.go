package transfer

import (
	"context"
	"time"

	"kakehashi/internal/format"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
)

// JobEnded is the kind of the jobs that look again, after an agreement ended, for
// transfers under it: another replica may have begun one in a unit that ran beside
// the one that ended it, and neither saw the other.
const JobEnded = "transfer.ended"

// lookAfter is when that is done: a unit does not run for so long.
const lookAfter = 5 * time.Second

type endedJob struct {
	Format    int64  `json:"v,omitzero"`
	Agreement string `json:"agreement"`
	Why       string `json:"why"`
}

func (r *Room) lookAgain(tx store.Tx, p participant.ID, agreement, why string) error {
	data, err := strictjson.Encode(endedJob{format.Mark(), agreement, why})
	if err != nil {
		return err
	}
	return r.c.Outbox.Put(tx, outbox.Job{Participant: p, Lane: "ended:" + agreement, ID: ids.Short(), Kind: JobEnded,
		Data: data, Due: r.c.Now().Add(lookAfter)})
}

// ended is the handler of JobEnded.
func (r *Room) ended(_ context.Context, j outbox.Job) (func(store.Tx) error, error) {
	var d endedJob
	if err := format.Look("job", j.ID, j.Data); err != nil {
		return nil, err
	}
	if err := strictjson.Decode(j.Data, &d); err != nil {
		return nil, outbox.Permanent(err)
	}
	return func(tx store.Tx) error { return r.endAll(tx, j.Participant, d.Agreement, d.Why) }, nil
}

func aboutEnded(j outbox.Job) outbox.Subject {
	var d endedJob
	_ = strictjson.DecodeOpen(j.Data, &d) // a job that cannot be read is about nothing
	return outbox.Subject{Process: d.Agreement}
}
