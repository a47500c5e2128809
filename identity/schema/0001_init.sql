-- Tokens that have had their effect. A row is kept until its token would be
-- refused as expired anyway.
CREATE TABLE identity_spent (
  participant TEXT   NOT NULL,
  issuer      TEXT   NOT NULL,
  jti         TEXT   NOT NULL,
  expires     BIGINT NOT NULL,
  PRIMARY KEY (participant, issuer, jti)
);

CREATE INDEX identity_spent_expires ON identity_spent (participant, expires);
