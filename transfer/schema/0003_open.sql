-- What is open, to be found again at a start among all that is kept.
CREATE INDEX transfer_processes_open ON transfer_processes (participant, id) WHERE state <> 'COMPLETED' AND state <> 'TERMINATED';
