-- migrate:up

-- By what the daily purge finds what is old enough.
CREATE INDEX jobs_done_by_age ON jobs (updated_at) WHERE state = 'done';
CREATE INDEX payment_messages_by_age ON payment_messages (created_at);
CREATE INDEX users_unverified_by_age ON users (created_at) WHERE verified_at IS NULL;

-- migrate:down

DROP INDEX users_unverified_by_age;
DROP INDEX payment_messages_by_age;
DROP INDEX jobs_done_by_age;
