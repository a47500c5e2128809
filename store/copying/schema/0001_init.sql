-- A store that a copy goes into, until the copy is whole: then both are empty.
-- They belong to no participant and are themselves never copied.
CREATE TABLE copying_marks (
    source TEXT   NOT NULL, -- where the copy is from, without secrets
    begun  BIGINT NOT NULL,
    PRIMARY KEY (source)
);

-- How far each table is; written in the unit that writes its rows.
CREATE TABLE copying_positions (
    name   TEXT    NOT NULL,
    copied BIGINT  NOT NULL, -- rows
    last   BYTEA   NOT NULL, -- key of the last of them
    whole  BOOLEAN NOT NULL,
    PRIMARY KEY (name)
);
