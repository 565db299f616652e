-- migrate:up

-- Whether the provider was told that a payment's session is over, after its order was. Until then the session might
-- still be paid, or might have been paid in a message that was lost.
ALTER TABLE payments ADD COLUMN session_ended boolean NOT NULL DEFAULT false;
CREATE INDEX payments_to_end ON payments (id)
WHERE status IN ('expired', 'failed') AND session IS NOT NULL AND NOT session_ended;

-- migrate:down

DROP INDEX payments_to_end;
ALTER TABLE payments DROP COLUMN session_ended;
