-- Open jobs only: a job that is done has no row. created orders a lane.
CREATE TABLE outbox_jobs (
    participant TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    lane        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    peer        TEXT    NOT NULL,
    data        BYTEA   NOT NULL,
    due         BIGINT  NOT NULL,
    created     BIGINT  NOT NULL,
    owner       TEXT    NOT NULL,
    attempts    BIGINT  NOT NULL,
    waited      BIGINT  NOT NULL,
    parked      BOOLEAN NOT NULL,
    last_error  TEXT    NOT NULL,
    PRIMARY KEY (participant, id)
);
