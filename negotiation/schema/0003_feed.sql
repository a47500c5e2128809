-- What changed last, for event streams that resume.
CREATE INDEX negotiation_processes_feed ON negotiation_processes (participant, updated);
