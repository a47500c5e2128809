-- One row a leaf: data is the leaf exactly as hashed; position is NULL until
-- the sequencer numbered it.
CREATE TABLE evidence_leaves (
	participant TEXT NOT NULL,
	process     TEXT NOT NULL,
	version     BIGINT NOT NULL,
	id          TEXT NOT NULL,
	at          BIGINT NOT NULL,
	type        TEXT NOT NULL,
	agreement   TEXT,
	position    BIGINT,
	data        BYTEA NOT NULL,
	PRIMARY KEY (participant, process, version, id)
);

CREATE UNIQUE INDEX evidence_leaves_position ON evidence_leaves (participant, position);

CREATE INDEX evidence_leaves_agreement ON evidence_leaves (participant, agreement) WHERE agreement IS NOT NULL;

-- Bodies, encrypted; digest is that of the plain bytes. keep_until NULL: no end set.
CREATE TABLE evidence_bodies (
	participant TEXT NOT NULL,
	digest      TEXT NOT NULL,
	class       TEXT NOT NULL,
	keep_until  BIGINT,
	sealed      BYTEA NOT NULL,
	PRIMARY KEY (participant, digest)
);

-- Hash tiles (C2SP tlog-tiles): up to 256 hashes of 32 bytes, the last of a
-- level growing in place.
CREATE TABLE evidence_tiles (
	participant TEXT NOT NULL,
	level       BIGINT NOT NULL,
	n           BIGINT NOT NULL,
	data        BYTEA NOT NULL,
	PRIMARY KEY (participant, level, n)
);

-- The head of each log: changed by compare-and-swap on size, with the note that
-- was signed over it.
CREATE TABLE evidence_logs (
	participant TEXT NOT NULL,
	size        BIGINT NOT NULL,
	root        BYTEA NOT NULL,
	checkpoint  BYTEA NOT NULL,
	PRIMARY KEY (participant)
);
