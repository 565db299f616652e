-- migrate:up

-- Letters that buyers are owed: written down by triggers, in the transaction of what they are about, and taken by the
-- worker, which makes mails of them. No index and no foreign key, since a booking pays for each; the worker takes
-- whatever is first in the table. What a letter says is read from the order when it is made, so their sequence does
-- not matter. Vacuum does not give emptied pages back: it would lock the table for that, while people book.
CREATE TABLE letters_due (
    order_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('confirmed', 'changed', 'cancelled')),
    due_at timestamptz NOT NULL DEFAULT now()
) WITH (vacuum_truncate = off);

-- Orders that are confirmed at once. A trigger per statement: a batch of orders is one more INSERT.
CREATE FUNCTION owe_letters_of_new_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO letters_due (order_id, kind)
    SELECT id, 'confirmed' FROM made WHERE status = 'confirmed' AND email <> '';
    RETURN NULL;
END $$;
CREATE TRIGGER letters AFTER INSERT ON orders REFERENCING NEW TABLE AS made FOR EACH STATEMENT
    EXECUTE FUNCTION owe_letters_of_new_orders();

-- Orders that are paid; orders that end after they were confirmed; and orders whose money comes when they have ended, or
-- ends them, and goes back. All others that end while they are pending cost nobody anything.
CREATE FUNCTION owe_letter_of_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO letters_due (order_id, kind) VALUES (NEW.id, NEW.status);
    RETURN NULL;
END $$;
CREATE TRIGGER letter AFTER UPDATE OF status, payment_status ON orders FOR EACH ROW
    WHEN (NEW.email <> '' AND (OLD.status = 'pending' AND NEW.status = 'confirmed'
        OR OLD.status = 'confirmed' AND NEW.status = 'cancelled'
        OR NEW.status = 'cancelled' AND NEW.payment_status = 'refund_due'
            AND (OLD.status <> 'cancelled' OR OLD.payment_status <> 'refund_due')))
    EXECUTE FUNCTION owe_letter_of_order();

-- Orders that lost some seats and have others, old or new.
CREATE FUNCTION owe_letters_of_changed_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO letters_due (order_id, kind)
    SELECT DISTINCT o.id, 'changed'
    FROM before b JOIN after a ON a.id = b.id JOIN orders o ON o.id = a.order_id
    WHERE b.status = 'confirmed' AND a.status = 'cancelled' AND o.email <> ''
        AND EXISTS (SELECT FROM bookings k WHERE k.order_id = o.id AND k.status = 'confirmed');
    RETURN NULL;
END $$;
CREATE TRIGGER letters AFTER UPDATE ON bookings REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION owe_letters_of_changed_orders();

-- migrate:down

DROP TRIGGER letters ON bookings;
DROP FUNCTION owe_letters_of_changed_orders();
DROP TRIGGER letter ON orders;
DROP FUNCTION owe_letter_of_order();
DROP TRIGGER letters ON orders;
DROP FUNCTION owe_letters_of_new_orders();
DROP TABLE letters_due;
