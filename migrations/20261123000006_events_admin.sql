-- migrate:up

-- What staff did, in the transaction that did it. No foreign key leads to events: it would put a shared lock on
-- the hottest row of the database.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    user_id bigint REFERENCES users,
    verb text NOT NULL,
    object text NOT NULL,
    event_id bigint,
    order_id uuid,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_of_event ON audit_log (event_id, id) WHERE event_id IS NOT NULL;
CREATE INDEX audit_log_of_order ON audit_log (order_id, id) WHERE order_id IS NOT NULL;
CREATE INDEX audit_log_of_user ON audit_log (user_id, id) WHERE user_id IS NOT NULL;

CREATE INDEX jobs_of_event ON jobs (event_id, id) WHERE event_id IS NOT NULL;

-- A paused event is published, but nobody may take further seats; `message` is shown on all its pages.
ALTER TABLE events
    ADD COLUMN paused boolean NOT NULL DEFAULT false,
    ADD COLUMN message text NOT NULL DEFAULT '';

-- migrate:down

ALTER TABLE events DROP COLUMN message, DROP COLUMN paused;
DROP INDEX jobs_of_event;
DROP TABLE audit_log;
