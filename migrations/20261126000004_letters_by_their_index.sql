-- migrate:up

-- As with the functions that end orders: where Postgres has no statistics, the trigger that looks whose order has
-- changed would read all orders.
ALTER FUNCTION owe_letters_of_changed_orders SET enable_seqscan = off;
ALTER FUNCTION owe_letters_of_changed_orders SET enable_bitmapscan = off;

-- migrate:down

ALTER FUNCTION owe_letters_of_changed_orders RESET enable_bitmapscan;
ALTER FUNCTION owe_letters_of_changed_orders RESET enable_seqscan;
