CREATE TABLE transfer_processes (
	participant TEXT NOT NULL,
	id TEXT NOT NULL,
	role TEXT NOT NULL,
	counterparty TEXT NOT NULL,
	peer_pid TEXT,
	start_key TEXT,
	state TEXT NOT NULL,
	version BIGINT NOT NULL,
	agreement TEXT NOT NULL,
	body BYTEA NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	PRIMARY KEY (participant, id)
);

CREATE UNIQUE INDEX transfer_processes_peer ON transfer_processes (participant, counterparty, role, peer_pid);

CREATE UNIQUE INDEX transfer_processes_key ON transfer_processes (participant, start_key);

CREATE INDEX transfer_processes_agreement ON transfer_processes (participant, agreement, state);
