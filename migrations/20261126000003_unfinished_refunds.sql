-- migrate:up

-- Those who watch a sale ask every few seconds whose money is stuck: of all refunds that there ever were, few are open.
CREATE INDEX refunds_unfinished ON refunds (created_at) WHERE status <> 'done';

-- migrate:down

DROP INDEX refunds_unfinished;
