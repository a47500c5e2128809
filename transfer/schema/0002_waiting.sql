-- Processes that wait for a decision of ours; one row while they do.
CREATE TABLE transfer_waiting (
	participant TEXT NOT NULL,
	id TEXT NOT NULL,
	PRIMARY KEY (participant, id)
);
