-- migrate:up

-- A plan that was merged for one event: it has that event's removed seats in it, so that nobody else may use it.
ALTER TABLE plans ADD COLUMN of_event bigint REFERENCES events;

-- migrate:down

ALTER TABLE plans DROP COLUMN of_event;
