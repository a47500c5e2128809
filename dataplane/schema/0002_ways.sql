-- way: serve (the counterparty fetches), receive (it sends us one body), push (we send it one).
ALTER TABLE dataplane_grants ADD COLUMN way TEXT NOT NULL DEFAULT 'serve';
-- received: digest of the body that arrived whole, '' before that.
ALTER TABLE dataplane_grants ADD COLUMN received TEXT NOT NULL DEFAULT '';
