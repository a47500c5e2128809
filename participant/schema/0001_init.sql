CREATE TABLE participant_participants (
  participant TEXT   NOT NULL,
  did         TEXT   NOT NULL,
  base        TEXT   NOT NULL,
  origin      TEXT   NOT NULL,
  data_url    TEXT   NOT NULL,
  created     BIGINT NOT NULL,
  PRIMARY KEY (participant)
);

CREATE TABLE participant_keys (
  participant TEXT   NOT NULL,
  purpose     TEXT   NOT NULL,
  kid         TEXT   NOT NULL,
  alg         TEXT   NOT NULL,
  sealed      BYTEA  NOT NULL,
  created     BIGINT NOT NULL,
  PRIMARY KEY (participant, purpose)
);
