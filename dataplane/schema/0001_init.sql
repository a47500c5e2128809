-- A grant is the right of one counterparty to use one address; the token itself is not here.
CREATE TABLE dataplane_grants (
    participant  TEXT   NOT NULL,
    id           TEXT   NOT NULL,
    transfer     TEXT   NOT NULL,
    agreement    TEXT   NOT NULL,
    counterparty TEXT   NOT NULL,
    dataset      TEXT   NOT NULL,
    service      TEXT   NOT NULL,
    format       TEXT   NOT NULL,
    token_digest BYTEA  NOT NULL,
    source       TEXT   NOT NULL,
    filter       TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    why          TEXT   NOT NULL,
    opened       BIGINT NOT NULL,
    closed       BIGINT NOT NULL,
    address      TEXT   NOT NULL,
    generation   BIGINT NOT NULL,
    bytes        BIGINT NOT NULL,
    items        BIGINT NOT NULL,
    requests     BIGINT NOT NULL,
    PRIMARY KEY (participant, id)
);

-- A request names the grant only; its row says whose it is.
CREATE INDEX dataplane_grants_by_id ON dataplane_grants (id);
CREATE INDEX dataplane_grants_by_agreement ON dataplane_grants (participant, agreement);

-- A window of use is here as open before its first byte leaves.
CREATE TABLE dataplane_windows (
    participant TEXT   NOT NULL,
    grant_id    TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    opened      BIGINT NOT NULL,
    closed      BIGINT NOT NULL,
    bytes       BIGINT NOT NULL,
    items       BIGINT NOT NULL,
    requests    BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    PRIMARY KEY (participant, grant_id, id)
);

CREATE INDEX dataplane_windows_open ON dataplane_windows (participant, id) WHERE state = 'open';
