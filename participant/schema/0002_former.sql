CREATE TABLE participant_former (
  participant TEXT   NOT NULL,
  kid         TEXT   NOT NULL,
  purpose     TEXT   NOT NULL,
  alg         TEXT   NOT NULL,
  public      BYTEA  NOT NULL,
  created     BIGINT NOT NULL,
  retired     BIGINT NOT NULL,
  until       BIGINT NOT NULL,
  PRIMARY KEY (participant, kid)
);
