-- turn orders a lane whoever put its jobs: no clock does. format is of the body
-- that the job needs, 0 when any program reads it.
ALTER TABLE outbox_jobs ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox_jobs ADD COLUMN format BIGINT NOT NULL DEFAULT 0;
UPDATE outbox_jobs SET turn = (SELECT COUNT(*) FROM outbox_jobs o
    WHERE o.participant = outbox_jobs.participant AND o.lane = outbox_jobs.lane
    AND (o.created, o.id) <= (outbox_jobs.created, outbox_jobs.id));
CREATE UNIQUE INDEX outbox_lanes ON outbox_jobs (participant, lane, turn);
CREATE INDEX outbox_nobody ON outbox_jobs (participant, id) WHERE owner = '';
