-- A counterpart as one participant knows it. checkpoint is the newest that was
-- seen of its evidence log; pause_us is the wait before a follow-up message.
CREATE TABLE partner_partners (
    participant     TEXT   NOT NULL,
    did             TEXT   NOT NULL,
    base            TEXT   NOT NULL,
    title           TEXT   NOT NULL,
    checkpoint      BYTEA  NOT NULL,
    checkpoint_size BIGINT NOT NULL,
    seen            BIGINT NOT NULL,
    pause_us        BIGINT NOT NULL,
    PRIMARY KEY (participant, did)
);
