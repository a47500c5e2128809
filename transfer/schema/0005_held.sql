-- What a counterpart holds open is counted without its finished processes.
CREATE INDEX transfer_processes_held ON transfer_processes (participant, counterparty)
	WHERE state <> 'FINALIZED' AND state <> 'COMPLETED' AND state <> 'TERMINATED';
