-- Only SHA-256 digests of tokens, codes and sessions are kept.
CREATE TABLE account_tokens (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  digest      BYTEA  NOT NULL,
  name        TEXT   NOT NULL,
  scopes      TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  PRIMARY KEY (participant, id)
);

CREATE INDEX account_tokens_digest ON account_tokens (digest);

CREATE TABLE account_links (
  participant TEXT   NOT NULL,
  digest      BYTEA  NOT NULL,
  expires     BIGINT NOT NULL,
  PRIMARY KEY (participant, digest)
);

CREATE INDEX account_links_digest ON account_links (digest);

CREATE TABLE account_sessions (
  participant TEXT   NOT NULL,
  digest      BYTEA  NOT NULL,
  name        TEXT   NOT NULL,
  scopes      TEXT   NOT NULL,
  seen        BIGINT NOT NULL,
  expires     BIGINT NOT NULL,
  PRIMARY KEY (participant, digest)
);

CREATE INDEX account_sessions_digest ON account_sessions (digest);
