-- What a participant offers. A dataset keeps its last version; offers are
-- immutable and stay after they were withdrawn, since agreements name them.
CREATE TABLE catalog_datasets (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL, -- any IRI
  service     TEXT   NOT NULL, -- the service that publishes it
  version     BIGINT NOT NULL,
  title       TEXT   NOT NULL,
  withdrawn   BIGINT NOT NULL DEFAULT 0, -- microseconds; 0: offered
  body        BYTEA  NOT NULL, -- Dataset without offers, JSON
  updated     BIGINT NOT NULL,
  PRIMARY KEY (participant, id)
);

CREATE TABLE catalog_offers (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  dataset     TEXT   NOT NULL,
  version     BIGINT NOT NULL, -- of the dataset it was published with
  policy      BYTEA  NOT NULL, -- ODRL rules as published
  withdrawn   BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (participant, id)
);

CREATE INDEX catalog_offers_dataset ON catalog_offers (participant, dataset);
