-- Pages in the order of titles, and the further catalogues that are shown.
CREATE INDEX catalog_datasets_title ON catalog_datasets (participant, title, id);

CREATE TABLE catalog_further (
  participant TEXT   NOT NULL,
  id          TEXT   NOT NULL,
  title       TEXT   NOT NULL,
  endpoint    TEXT   NOT NULL, -- DSP base URL at which it can be asked for
  added       BIGINT NOT NULL, -- microseconds
  PRIMARY KEY (participant, id)
);
