-- What a counterpart holds open is counted without its finished processes.
CREATE INDEX negotiation_processes_held ON negotiation_processes (participant, counterparty)
	WHERE state <> 'FINALIZED' AND state <> 'COMPLETED' AND state <> 'TERMINATED';
