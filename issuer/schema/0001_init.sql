CREATE TABLE issuer_types (
  participant TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  type        TEXT    NOT NULL,
  profile     TEXT    NOT NULL,
  schema_url  TEXT    NOT NULL,
  lifetime    BIGINT  NOT NULL,
  approval    TEXT    NOT NULL,
  suspendable BOOLEAN NOT NULL,
  format      TEXT    NOT NULL,
  claims      TEXT    NOT NULL,
  PRIMARY KEY (participant, id)
);

CREATE TABLE issuer_attested (
  participant TEXT   NOT NULL,
  subject     TEXT   NOT NULL,
  type        TEXT   NOT NULL,
  claims      TEXT   NOT NULL,
  at          BIGINT NOT NULL,
  PRIMARY KEY (participant, subject, type)
);

CREATE TABLE issuer_requests (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  holder      TEXT   NOT NULL,
  holder_pid  TEXT   NOT NULL,
  types       TEXT   NOT NULL,
  state       TEXT   NOT NULL,
  reason      TEXT   NOT NULL,
  echo        TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  decided     BIGINT NOT NULL,
  PRIMARY KEY (participant, id)
);
CREATE UNIQUE INDEX issuer_requests_pid ON issuer_requests (participant, holder, holder_pid);
CREATE INDEX issuer_requests_created ON issuer_requests (participant, created);

CREATE TABLE issuer_issued (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  request     TEXT   NOT NULL,
  holder      TEXT   NOT NULL,
  type        TEXT   NOT NULL,
  format      TEXT   NOT NULL,
  suspendable BOOLEAN NOT NULL,
  digest      TEXT   NOT NULL,
  list        TEXT   NOT NULL,
  position    BIGINT NOT NULL,
  state       TEXT   NOT NULL,
  reason      TEXT   NOT NULL,
  issued      BIGINT NOT NULL,
  until       BIGINT NOT NULL,
  PRIMARY KEY (participant, id)
);
CREATE UNIQUE INDEX issuer_issued_position ON issuer_issued (participant, list, position);
CREATE INDEX issuer_issued_request ON issuer_issued (participant, request);
CREATE INDEX issuer_issued_at ON issuer_issued (participant, issued);

CREATE TABLE issuer_lists (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  entry       TEXT   NOT NULL,
  revoked     BYTEA  NOT NULL,
  suspended   BYTEA  NOT NULL,
  used        BIGINT NOT NULL,
  version     BIGINT NOT NULL,
  PRIMARY KEY (participant, id)
);
