-- What is in force. Rows are never deleted; an ended agreement keeps its reason.
CREATE TABLE agreement_agreements (
  participant  TEXT   NOT NULL,
  id           TEXT   NOT NULL, -- the provider's choice
  role         TEXT   NOT NULL, -- provider, consumer
  counterparty TEXT   NOT NULL,
  dataset      TEXT   NOT NULL,
  negotiation  TEXT   NOT NULL,
  signed       BIGINT NOT NULL,
  ended        BIGINT NOT NULL DEFAULT 0, -- microseconds; 0: in force
  why          TEXT   NOT NULL DEFAULT '',
  body         BYTEA  NOT NULL, -- Agreement, JSON
  PRIMARY KEY (participant, id)
);

CREATE INDEX agreement_between ON agreement_agreements (participant, counterparty, dataset, signed);
