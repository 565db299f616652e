-- migrate:up

-- Places for wheelchairs. Until `accessible_until` only the box office gives them away; Redis' clock says when that is
-- over, so nothing here compares it with a time.
ALTER TABLE seats ADD COLUMN accessible boolean NOT NULL DEFAULT false;
CREATE INDEX seats_accessible ON seats (event_id, index) WHERE accessible;
ALTER TABLE events ADD COLUMN accessible_until timestamptz;

-- migrate:down

ALTER TABLE events DROP COLUMN accessible_until;
DROP INDEX seats_accessible;
ALTER TABLE seats DROP COLUMN accessible;
