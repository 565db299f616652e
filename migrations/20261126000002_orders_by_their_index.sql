-- migrate:up

-- Where Postgres has no statistics it thinks that an order may have a thousand bookings, and to find the active ones
-- reads the index of all active bookings, of every event, twice a cancellation.
ALTER FUNCTION cancel_within SET enable_bitmapscan = off;
ALTER FUNCTION cancel_order SET enable_bitmapscan = off;
ALTER FUNCTION expire_order SET enable_bitmapscan = off;
ALTER FUNCTION settle_payment SET enable_bitmapscan = off;
ALTER FUNCTION reseat_order SET enable_bitmapscan = off;
ALTER FUNCTION retry_payment SET enable_bitmapscan = off;
ALTER FUNCTION pay_out_refunds SET enable_bitmapscan = off;

-- migrate:down

ALTER FUNCTION pay_out_refunds RESET enable_bitmapscan;
ALTER FUNCTION retry_payment RESET enable_bitmapscan;
ALTER FUNCTION reseat_order RESET enable_bitmapscan;
ALTER FUNCTION settle_payment RESET enable_bitmapscan;
ALTER FUNCTION expire_order RESET enable_bitmapscan;
ALTER FUNCTION cancel_order RESET enable_bitmapscan;
ALTER FUNCTION cancel_within RESET enable_bitmapscan;
