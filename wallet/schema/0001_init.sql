CREATE TABLE wallet_credentials (
  participant TEXT   NOT NULL,
  digest      TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  issuer      TEXT   NOT NULL,
  types       TEXT   NOT NULL,
  holder_pid  TEXT   NOT NULL,
  valid_from  BIGINT NOT NULL,
  valid_until BIGINT NOT NULL,
  received    BIGINT NOT NULL,
  PRIMARY KEY (participant, digest)
);

CREATE TABLE wallet_requests (
  participant TEXT    NOT NULL,
  holder_pid  TEXT    NOT NULL,
  issuer      TEXT    NOT NULL,
  types       TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  issuer_pid  TEXT    NOT NULL,
  delivered   TEXT    NOT NULL,
  standing    BOOLEAN NOT NULL,
  created     BIGINT  NOT NULL,
  PRIMARY KEY (participant, holder_pid)
);
CREATE INDEX wallet_requests_created ON wallet_requests (participant, created);

CREATE TABLE wallet_shares (
  participant  TEXT NOT NULL,
  counterparty TEXT NOT NULL,
  type         TEXT NOT NULL,
  PRIMARY KEY (participant, counterparty, type)
);

CREATE TABLE wallet_reads (
  participant TEXT   NOT NULL,
  jti         TEXT   NOT NULL,
  reads       BIGINT NOT NULL,
  expires     BIGINT NOT NULL,
  PRIMARY KEY (participant, jti)
);

CREATE TABLE wallet_offers (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  issuer      TEXT   NOT NULL,
  objects     TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  PRIMARY KEY (participant, id)
);
CREATE INDEX wallet_offers_at ON wallet_offers (participant, at);
