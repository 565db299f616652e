-- migrate:up

-- What a job was about, until it is done: one that failed for good has left the queue, and can be queued again.
ALTER TABLE jobs ADD COLUMN payload text NOT NULL DEFAULT '';
CREATE INDEX jobs_by_state ON jobs (state, id);

-- migrate:down

DROP INDEX jobs_by_state;
ALTER TABLE jobs DROP COLUMN payload;
