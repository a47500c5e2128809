-- What was published of each file: a file that differs from it is not handed out.
CREATE TABLE files_sources (
    participant TEXT   NOT NULL,
    dataset     TEXT   NOT NULL,
    path        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    mtime_us    BIGINT NOT NULL,
    digest      TEXT   NOT NULL,
    PRIMARY KEY (participant, dataset)
);

CREATE INDEX files_sources_by_path ON files_sources (participant, path);
