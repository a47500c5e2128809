-- owner: the replica that counts an open window; when it is gone another one closes it.
ALTER TABLE dataplane_windows ADD COLUMN owner TEXT NOT NULL DEFAULT '';
