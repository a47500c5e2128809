CREATE TABLE trust_issuers (
  participant TEXT    NOT NULL,
  did         TEXT    NOT NULL,
  type        TEXT    NOT NULL,
  region      TEXT    NOT NULL,
  since       BIGINT  NOT NULL,
  until       BIGINT  NOT NULL,
  unsigned    BOOLEAN NOT NULL,
  PRIMARY KEY (participant, did, type)
);

CREATE TABLE trust_anchors (
  participant TEXT   NOT NULL,
  name        TEXT   NOT NULL,
  url         TEXT   NOT NULL,
  signer      TEXT   NOT NULL,
  grace       BIGINT NOT NULL,
  version     BIGINT NOT NULL,
  list        TEXT   NOT NULL,
  fetched     BIGINT NOT NULL,
  problem     TEXT   NOT NULL,
  PRIMARY KEY (participant, name)
);

CREATE TABLE trust_rules (
  participant  TEXT    NOT NULL,
  counterparty TEXT    NOT NULL,
  lenient      BOOLEAN NOT NULL,
  two_parts    BOOLEAN NOT NULL,
  asked        TEXT    NOT NULL,
  PRIMARY KEY (participant, counterparty)
);

CREATE TABLE trust_held (
  participant  TEXT   NOT NULL,
  counterparty TEXT   NOT NULL,
  digest       TEXT   NOT NULL,
  type         TEXT   NOT NULL,
  presentation TEXT   NOT NULL,
  basis        TEXT   NOT NULL,
  status       TEXT   NOT NULL,
  at           BIGINT NOT NULL,
  PRIMARY KEY (participant, counterparty, digest)
);
