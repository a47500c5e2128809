-- What changed last, for event streams that resume.
CREATE INDEX transfer_processes_feed ON transfer_processes (participant, updated);
