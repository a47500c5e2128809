-- One row for each program that serves these tables now. It belongs to no
-- participant. counter only ever grows; who takes the row away ends the lease.
CREATE TABLE replica_leases (
    id      TEXT   NOT NULL,
    counter BIGINT NOT NULL,
    PRIMARY KEY (id)
);
