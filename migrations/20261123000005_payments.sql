-- migrate:up

-- Orders that cost money. The states, and why: docs/payments.md. Lists of what may become what are tables, and a
-- trigger holds every statement to them, whoever wrote it.

ALTER TABLE events
    ADD COLUMN payment_methods text[] NOT NULL DEFAULT '{free}' CHECK (cardinality(payment_methods) > 0),
    ADD COLUMN fee_per_seat bigint NOT NULL DEFAULT 0 CHECK (fee_per_seat >= 0);

-- `cancel_reason` decides what becomes of money that comes after all: seats that ran out or failed are tried
-- again; what somebody gave back is paid back.
ALTER TABLE orders
    ADD COLUMN pay_by timestamptz,
    ADD COLUMN cancel_reason text NOT NULL DEFAULT '';
CREATE INDEX orders_to_pay ON orders (pay_by) WHERE status = 'pending';

-- `order_id` is the order that the money is for now; a late payment moves to the order that took its seats
-- again, whose id is chosen (`reseat_order_id`) before that is tried, so that two tries are one.
CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders,
    provider text NOT NULL,
    session text,
    url text NOT NULL DEFAULT '',
    amount bigint NOT NULL CHECK (amount > 0),
    currency char(3) NOT NULL,
    status text NOT NULL DEFAULT 'created',
    reseat_order_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX payments_of_session ON payments (provider, session);
CREATE INDEX payments_of_order ON payments (order_id);
CREATE INDEX payments_late ON payments (id) WHERE status = 'captured' AND reseat_order_id IS NOT NULL;

-- Which messages of a provider have been carried out.
CREATE TABLE payment_messages (
    provider text NOT NULL,
    message_id text NOT NULL,
    payment_id bigint NOT NULL REFERENCES payments,
    outcome text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, message_id)
);

-- What is to be paid back, and what was. Written with the cancellation, sent by whoever looks next.
CREATE TABLE refunds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id bigint NOT NULL REFERENCES payments,
    amount bigint NOT NULL CHECK (amount > 0),
    reason text NOT NULL,
    status text NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'sent', 'done', 'failed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_of_payment ON refunds (payment_id);
CREATE INDEX refunds_to_send ON refunds (id) WHERE status IN ('due', 'sent');

-- The test card's own memory, as a payment company has one. Nothing of Seatmap decides by it.
CREATE TABLE test_card_sessions (
    session text PRIMARY KEY,
    payment_id bigint NOT NULL UNIQUE,
    amount bigint NOT NULL,
    currency char(3) NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paid', 'declined', 'ended'))
);
CREATE TABLE test_card_refunds (
    refund_id bigint PRIMARY KEY,
    session text NOT NULL REFERENCES test_card_sessions,
    amount bigint NOT NULL
);

CREATE TABLE order_transitions (was text, becomes text, PRIMARY KEY (was, becomes));
INSERT INTO order_transitions VALUES
    ('pending', 'confirmed'), ('pending', 'cancelled'), ('confirmed', 'cancelled');
CREATE TABLE payment_transitions (was text, becomes text, PRIMARY KEY (was, becomes));
INSERT INTO payment_transitions VALUES
    ('created', 'authorized'), ('created', 'captured'), ('created', 'failed'), ('created', 'expired'),
    ('created', 'stuck'), ('authorized', 'captured'), ('authorized', 'failed'), ('authorized', 'expired'),
    ('authorized', 'stuck'), ('failed', 'captured'), ('failed', 'stuck'), ('expired', 'captured'),
    ('expired', 'stuck'), ('captured', 'refund_due'), ('refund_due', 'refunded'), ('refund_due', 'stuck'),
    ('stuck', 'refund_due');

CREATE FUNCTION hold_to_transitions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE was = $1 AND becomes = $2)', TG_ARGV[0])
    INTO allowed USING OLD.status, NEW.status;
    IF NOT allowed THEN
        RAISE EXCEPTION '% cannot become % in %', OLD.status, NEW.status, TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transitions BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD.status <> NEW.status)
    EXECUTE FUNCTION hold_to_transitions('order_transitions');
CREATE TRIGGER transitions BEFORE UPDATE ON payments FOR EACH ROW WHEN (OLD.status <> NEW.status)
    EXECUTE FUNCTION hold_to_transitions('payment_transitions');
CREATE TRIGGER touch BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON refunds FOR EACH ROW EXECUTE FUNCTION touch();

DROP FUNCTION book_orders(bigint, uuid[], int[], text[], bytea[], bigint[], text[], text[], int[], int[]);
DROP FUNCTION cancel_order(uuid, text);

-- As before (see 20261123000003_booking.sql for the rules and for why its plan is pinned), with a way to pay per
-- order: p_methods ('' for the event's first), and p_paid_by (a late payment that takes its seats again, or
-- null). An order that has something to pay elsewhere is pending until p_pay_s from now. `standing` is the
-- order's status, or 'free' for one that is confirmed with nothing to pay; null for an order known before.

CREATE FUNCTION book_orders(
    p_event bigint,
    p_ids uuid[], p_epochs int[], p_visitors text[], p_hashes bytea[], p_totals bigint[],
    p_names text[], p_emails text[],
    p_ord int[], p_seats int[],
    p_methods text[], p_paid_by bigint[], p_pay_s int
) RETURNS TABLE (order_id uuid, outcome text, reason text, standing text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_nestloop = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ev events%ROWTYPE;
    on_sale boolean;
BEGIN
    UPDATE events SET seq = seq + 1 WHERE id = p_event RETURNING * INTO ev;
    on_sale := ev.id IS NOT NULL AND ev.deleted_at IS NULL AND ev.status = 'published';

    RETURN QUERY
    WITH asked AS (
        SELECT a.id, a.epoch, a.visitor, a.hash, a.total, a.name, a.email, a.n, a.paid_by,
            coalesce(nullif(a.method, ''), ev.payment_methods[1]) AS method
        FROM unnest(p_ids, p_epochs, p_visitors, p_hashes, p_totals, p_names, p_emails, p_methods, p_paid_by)
            WITH ORDINALITY AS a (id, epoch, visitor, hash, total, name, email, method, paid_by, n)
    ),
    known AS (
        SELECT v.* FROM verdicts v WHERE v.order_id = ANY (p_ids)
    ),
    fresh AS (
        SELECT a.* FROM asked a WHERE NOT EXISTS (SELECT FROM known k WHERE k.order_id = a.id)
    ),
    wanted AS (
        SELECT f.n, w.seat, s.status, s.price + ev.fee_per_seat AS price,
            row_number() OVER (PARTITION BY w.seat ORDER BY w.n, w.k) > 1 OR (
                SELECT true FROM bookings b
                WHERE b.event_id = p_event AND b.seat = w.seat AND b.status IN ('pending', 'confirmed')
                LIMIT 1
            ) IS TRUE AS taken
        FROM unnest(p_ord, p_seats) WITH ORDINALITY AS w (n, seat, k)
        JOIN fresh f ON f.n = w.n
        LEFT JOIN LATERAL (
            SELECT seats.status,
                (SELECT c.price FROM categories c WHERE c.id = seats.category_id LIMIT 1) AS price
            FROM seats
            WHERE seats.event_id = p_event AND seats.index = w.seat AND seats.deleted_at IS NULL
            LIMIT 1
        ) s ON true
    ),
    summed AS (
        SELECT w.n, count(*) AS seats, sum(w.price)::bigint AS total,
            bool_or(w.status IS NULL) AS unknown, bool_or(w.status = 'blocked') AS blocked,
            bool_or(w.taken) AS taken
        FROM wanted w GROUP BY w.n
    ),
    counted AS (
        SELECT f.*, s.total AS price, s.unknown, s.blocked, s.taken, coalesce(s.seats, 0) AS seats,
            sum(s.seats) OVER (PARTITION BY f.visitor ORDER BY f.n) + (
                SELECT coalesce(sum(mine.seats), 0) FROM orders o, LATERAL (
                    SELECT count(*) AS seats FROM bookings b
                    WHERE b.order_id = o.id AND b.status IN ('pending', 'confirmed') OFFSET 0
                ) mine
                -- Not by the order's status, which its bookings say: it would open the index of the event's active
                -- orders, all of which would be read for every order.
                WHERE o.visitor = f.visitor AND o.event_id = p_event
            ) AS of_visitor
        FROM fresh f LEFT JOIN summed s ON s.n = f.n
    ),
    decided AS (
        SELECT c.*, CASE
            WHEN NOT on_sale THEN 'not_on_sale'
            WHEN c.epoch <> ev.epoch THEN 'wrong_epoch'
            WHEN c.seats = 0 THEN 'no_seats'
            WHEN c.unknown THEN 'seat_out_of_range'
            WHEN c.blocked THEN 'seat_blocked'
            WHEN c.taken THEN 'seat_taken'
            WHEN c.total <> c.price THEN 'price_changed'
            WHEN c.of_visitor > ev.seats_per_visitor THEN 'too_many_seats'
            WHEN c.paid_by IS NULL AND c.method <> ALL (ev.payment_methods) THEN 'method_not_offered'
            ELSE ''
        END AS why,
        c.paid_by IS NULL AND c.total > 0 AND c.method NOT IN ('free', 'door') AS paying
        FROM counted c
    ),
    -- In the order of the ids, so that two batches which share ids wait for each other instead of dying.
    told AS (
        INSERT INTO verdicts AS v (order_id, event_id, visitor, body_hash, outcome, reason, seq)
        SELECT d.id, p_event, d.visitor, d.hash,
            CASE d.why WHEN '' THEN 'committed' ELSE 'refused' END, d.why, coalesce(ev.seq, 0)
        FROM decided d ORDER BY d.id
        ON CONFLICT (order_id) DO NOTHING
        RETURNING v.order_id, v.outcome, v.reason
    ),
    bought AS (
        SELECT d.* FROM told t JOIN decided d ON d.id = t.order_id WHERE t.outcome = 'committed'
    ),
    ordered AS (
        INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency,
            payment_status, payment_method, pay_by)
        SELECT b.id, p_event, b.visitor, b.name, b.email, CASE WHEN b.paying THEN 'pending' ELSE 'confirmed' END,
            b.total, ev.currency,
            CASE WHEN b.paid_by IS NOT NULL THEN 'paid' WHEN b.total = 0 OR b.method = 'free' THEN 'none'
                ELSE 'unpaid' END,
            b.method, CASE WHEN b.paying THEN now() + p_pay_s * interval '1 second' END
        FROM bought b
    ),
    charged AS (
        INSERT INTO payments (order_id, provider, amount, currency)
        SELECT b.id, b.method, b.total, ev.currency FROM bought b
        WHERE b.paid_by IS NULL AND b.total > 0 AND b.method <> 'free'
    ),
    booked AS (
        INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
        SELECT b.id, p_event, w.seat, CASE WHEN b.paying THEN 'pending' ELSE 'confirmed' END, w.price,
            ev.currency, ev.seq
        FROM bought b JOIN wanted w ON w.n = b.n
    )
    SELECT t.order_id, t.outcome, t.reason,
        (SELECT CASE WHEN b.paying THEN 'pending' WHEN b.method = 'free' THEN 'free' ELSE 'confirmed' END
            FROM bought b WHERE b.id = t.order_id LIMIT 1)
    FROM told t
    UNION ALL
    -- A tombstone answers whoever asks; anything else only the visitor and the body that it was given to.
    SELECT k.order_id,
        CASE WHEN same.body THEN k.outcome ELSE 'refused' END,
        CASE WHEN same.body THEN k.reason ELSE 'order_reused' END,
        NULL::text
    FROM known k JOIN asked a ON a.id = k.order_id,
        LATERAL (
            SELECT k.outcome = 'aborted' OR (k.visitor = a.visitor AND k.body_hash = a.hash) AS body
        ) same;
END $$;

-- Writes down what of a captured payment is to be paid back: never more than is left of it. The caller holds the
-- event's lock.
CREATE FUNCTION owe_refund(p_payment bigint, p_amount bigint, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    pay payments%ROWTYPE;
    owed bigint;
    back bigint;
BEGIN
    SELECT * INTO pay FROM payments WHERE id = p_payment FOR UPDATE;
    SELECT coalesce(sum(amount), 0) INTO owed FROM refunds WHERE payment_id = p_payment;
    back := least(p_amount, pay.amount - owed);
    IF pay.status <> 'captured' OR back <= 0 THEN
        RETURN;
    END IF;
    INSERT INTO refunds (payment_id, amount, reason) VALUES (p_payment, back, p_reason);
    IF owed + back = pay.amount THEN
        UPDATE payments SET status = 'refund_due' WHERE id = p_payment;
        UPDATE orders SET payment_status = 'refund_due' WHERE id = pay.order_id;
    END IF;
END $$;

-- Cancels seats of an order (null: all that it has left), and with the last of them the order; owes back what
-- was paid for them. The caller holds the event's lock and gives its seq. Answers the seats.
CREATE FUNCTION cancel_within(p_order uuid, p_seats int[], p_reason text, p_seq bigint) RETURNS int[]
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    gone int[];
    worth bigint;
    pay payments%ROWTYPE;
BEGIN
    WITH ended AS (
        UPDATE bookings SET status = 'cancelled', seq_off = p_seq
        WHERE order_id = p_order AND status IN ('pending', 'confirmed') AND (p_seats IS NULL OR seat = ANY (p_seats))
        RETURNING seat, price
    )
    SELECT array_agg(seat ORDER BY seat), sum(price) INTO gone, worth FROM ended;
    SELECT * INTO pay FROM payments WHERE order_id = p_order;
    IF gone IS NOT NULL AND pay.status = 'captured' THEN
        PERFORM owe_refund(pay.id, worth, p_reason);
    END IF;
    IF NOT EXISTS (SELECT FROM bookings WHERE order_id = p_order AND status IN ('pending', 'confirmed')) THEN
        UPDATE payments SET status = CASE p_reason WHEN 'failed' THEN 'failed' ELSE 'expired' END
        WHERE order_id = p_order AND status IN ('created', 'authorized');
        UPDATE orders SET status = 'cancelled', cancelled_at = now(), cancel_reason = p_reason,
            payment_status = CASE WHEN p_reason = 'failed' THEN 'failed' ELSE payment_status END
        WHERE id = p_order AND status IN ('pending', 'confirmed');
    END IF;
    RETURN coalesce(gone, '{}');
END $$;

-- Cancels an order, or some of its seats. p_visitor null: whoever's it is. Answers one row: result is
-- 'cancelled' (also when it was already, so that a lost answer can be asked for again), 'order_not_found', or
-- 'order_not_active' (it never became an order); then the event, whose it is, and the seats that are gone, in
-- index order.
CREATE FUNCTION cancel_order(
    p_order uuid, p_visitor text, p_seats int[] DEFAULT NULL, p_reason text DEFAULT 'buyer'
) RETURNS TABLE (result text, event_id bigint, visitor text, seats int[])
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v record;
    now_seq bigint;
BEGIN
    -- Read before the lock: none of it changes. A late order was decided under a name of its own.
    SELECT w.event_id, w.outcome, coalesce(o.visitor, w.visitor) AS visitor INTO v
    FROM verdicts w LEFT JOIN orders o ON o.id = w.order_id WHERE w.order_id = p_order;
    IF v.event_id IS NULL OR v.visitor <> p_visitor THEN
        RETURN QUERY SELECT 'order_not_found', NULL::bigint, NULL::text, NULL::int[];
        RETURN;
    ELSIF v.outcome <> 'committed' THEN
        RETURN QUERY SELECT 'order_not_active', v.event_id, v.visitor, NULL::int[];
        RETURN;
    END IF;
    UPDATE events SET seq = seq + 1 WHERE id = v.event_id RETURNING seq INTO now_seq;
    -- The provider asks for the whole sum: of what is still to be paid nothing can be left out.
    IF p_seats IS NOT NULL AND (SELECT o.status FROM orders o WHERE o.id = p_order) = 'pending' THEN
        RETURN QUERY SELECT 'order_not_active', v.event_id, v.visitor, NULL::int[];
        RETURN;
    END IF;
    PERFORM cancel_within(p_order, p_seats, p_reason, now_seq);
    RETURN QUERY SELECT 'cancelled', v.event_id, v.visitor, (
        SELECT array_agg(DISTINCT b.seat) FROM bookings b
        WHERE b.order_id = p_order AND b.status = 'cancelled' AND (p_seats IS NULL OR b.seat = ANY (p_seats))
    );
END $$;

-- Ends a pending order whose time to pay is over. Answers its seats, or no row if it is not pending any more.
CREATE FUNCTION expire_order(p_order uuid) RETURNS TABLE (event_id bigint, visitor text, seats int[])
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    now_seq bigint;
    ord orders%ROWTYPE;
BEGIN
    SELECT * INTO ord FROM orders WHERE id = p_order;
    UPDATE events SET seq = seq + 1 WHERE id = ord.event_id RETURNING seq INTO now_seq;
    SELECT * INTO ord FROM orders WHERE id = p_order FOR UPDATE;
    IF ord.status = 'pending' THEN
        RETURN QUERY SELECT ord.event_id, ord.visitor, cancel_within(p_order, NULL, 'expired', now_seq);
    END IF;
END $$;

-- Cancels up to p_limit active orders of an event, once its status says that it is cancelled. Answers how many
-- that were; 0: all are done. Two at once wait for each other on the event's row.
CREATE FUNCTION cancel_orders_of_event(p_event bigint, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    ev events%ROWTYPE;
    found_id uuid;
    done int := 0;
BEGIN
    UPDATE events SET seq = seq + 1 WHERE id = p_event RETURNING * INTO ev;
    IF ev.status <> 'cancelled' THEN
        RAISE EXCEPTION 'event % is not cancelled', p_event;
    END IF;
    FOR found_id IN SELECT id FROM orders
        WHERE event_id = p_event AND status IN ('pending', 'confirmed') ORDER BY id LIMIT p_limit
    LOOP
        PERFORM cancel_within(found_id, NULL, 'event', ev.seq);
        done := done + 1;
    END LOOP;
    RETURN done;
END $$;
CREATE INDEX orders_active_of_event ON orders (event_id, id) WHERE status IN ('pending', 'confirmed');

-- Carries out a provider's message, once. The only place, with expire_order and cancel_order, where a claim ends:
-- each by compare-and-set under the event's lock, so exactly one of them wins. `result` is
--   paid (the order is confirmed) | failed (it is cancelled) | noted (nothing to do) | duplicate | unknown |
--   late (the order had ended; its seats may be tried again) | refund (it had; the money goes back) | stuck
-- and `standing` what the order stands at now.
CREATE FUNCTION settle_payment(
    p_provider text, p_message text, p_session text, p_outcome text, p_amount bigint, p_currency text
) RETURNS TABLE (result text, payment_id bigint, order_id uuid, event_id bigint, visitor text, seats int[],
    standing text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    ev events%ROWTYPE;
    pay payments%ROWTYPE;
    ord orders%ROWTYPE;
    said text := 'noted';
    held int[];
BEGIN
    SELECT e.* INTO ev FROM payments p JOIN orders o ON o.id = p.order_id JOIN events e ON e.id = o.event_id
    WHERE p.provider = p_provider AND p.session = p_session;
    IF ev.id IS NULL THEN
        RETURN QUERY SELECT 'unknown', NULL::bigint, NULL::uuid, NULL::bigint, NULL::text, NULL::int[], NULL::text;
        RETURN;
    END IF;
    UPDATE events SET seq = seq + 1 WHERE id = ev.id RETURNING * INTO ev;
    SELECT * INTO pay FROM payments WHERE provider = p_provider AND session = p_session FOR UPDATE;
    SELECT * INTO ord FROM orders WHERE id = pay.order_id FOR UPDATE;
    held := (SELECT array_agg(b.seat ORDER BY b.seat) FROM bookings b WHERE b.order_id = ord.id);
    INSERT INTO payment_messages (provider, message_id, payment_id, outcome)
    VALUES (p_provider, p_message, pay.id, p_outcome) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        said := 'duplicate';
    ELSIF pay.status NOT IN ('created', 'authorized', 'failed', 'expired') THEN
        said := 'noted';
    ELSIF p_outcome = 'authorized' THEN
        UPDATE payments SET status = 'authorized' WHERE id = pay.id AND status = 'created';
    ELSIF p_outcome = 'failed' THEN
        IF ord.status = 'pending' THEN
            PERFORM cancel_within(ord.id, NULL, 'failed', ev.seq);
            said := 'failed';
        END IF;
    ELSIF p_amount <> pay.amount OR p_currency <> pay.currency THEN
        UPDATE payments SET status = 'stuck' WHERE id = pay.id;
        said := 'stuck';
    ELSE
        UPDATE payments SET status = 'captured' WHERE id = pay.id;
        UPDATE orders SET payment_status = 'paid' WHERE id = ord.id;
        IF ord.status = 'pending' AND ev.status = 'published' THEN
            UPDATE orders SET status = 'confirmed' WHERE id = ord.id;
            UPDATE bookings SET status = 'confirmed' WHERE order_id = ord.id AND status = 'pending';
            said := 'paid';
        ELSIF ord.status = 'pending' THEN
            PERFORM cancel_within(ord.id, NULL, 'event', ev.seq);
            said := 'refund';
        ELSIF ord.cancel_reason IN ('expired', 'failed') AND ev.status = 'published' THEN
            UPDATE payments SET reseat_order_id = gen_random_uuid() WHERE id = pay.id;
            said := 'late';
        ELSE
            PERFORM owe_refund(pay.id, pay.amount, 'late');
            said := 'refund';
        END IF;
    END IF;
    RETURN QUERY SELECT said, pay.id, ord.id, ev.id, ord.visitor, held,
        (SELECT o.status FROM orders o WHERE o.id = ord.id);
END $$;

-- Moves an order to other seats: the seats of p_to, which Redis has taken for it, in place of those of p_from, one
-- for one, at the price that was paid. Answers '' or the code that refuses it; then nothing is changed.
CREATE FUNCTION reseat_order(p_order uuid, p_epoch int, p_from int[], p_to int[]) RETURNS text
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    ev events%ROWTYPE;
    moves int;
BEGIN
    UPDATE events e SET seq = seq + 1 FROM orders o WHERE o.id = p_order AND e.id = o.event_id RETURNING e.* INTO ev;
    IF ev.id IS NULL THEN
        RETURN 'order_not_found';
    ELSIF ev.status <> 'published' THEN
        RETURN 'not_on_sale';
    ELSIF ev.epoch <> p_epoch THEN
        RETURN 'wrong_epoch';
    END IF;
    PERFORM FROM orders WHERE id = p_order AND status = 'confirmed';
    IF NOT FOUND THEN
        RETURN 'order_not_active';
    END IF;
    SELECT count(*) INTO moves FROM unnest(p_from, p_to) AS m (a, b)
    JOIN bookings k ON k.order_id = p_order AND k.seat = m.a AND k.status = 'confirmed'
    JOIN seats s ON s.event_id = ev.id AND s.index = m.b AND s.status = 'available' AND s.deleted_at IS NULL
    JOIN categories c ON c.id = s.category_id AND c.price + ev.fee_per_seat <= k.price;
    IF moves <> cardinality(p_from) OR cardinality(p_from) <> cardinality(p_to) THEN
        RETURN 'cannot_reseat';
    ELSIF EXISTS (SELECT FROM bookings WHERE event_id = ev.id AND seat = ANY (p_to) AND status IN ('pending', 'confirmed'))
    THEN
        RETURN 'seat_taken';
    END IF;
    WITH ended AS (
        UPDATE bookings SET status = 'cancelled', seq_off = ev.seq
        WHERE order_id = p_order AND seat = ANY (p_from) AND status = 'confirmed'
        RETURNING seat, price, currency, user_id
    )
    INSERT INTO bookings (order_id, event_id, seat, user_id, status, price, currency, seq_on)
    SELECT p_order, ev.id, m.b, e.user_id, 'confirmed', e.price, e.currency, ev.seq
    FROM unnest(p_from, p_to) AS m (a, b) JOIN ended e ON e.seat = m.a;
    RETURN '';
END $$;

-- migrate:down

DROP FUNCTION reseat_order(uuid, int, int[], int[]);
DROP FUNCTION settle_payment(text, text, text, text, bigint, text);
DROP INDEX orders_active_of_event;
DROP FUNCTION cancel_orders_of_event(bigint, int);
DROP FUNCTION expire_order(uuid);
DROP FUNCTION cancel_order(uuid, text, int[], text);
DROP FUNCTION cancel_within(uuid, int[], text, bigint);
DROP FUNCTION owe_refund(bigint, bigint, text);
DROP FUNCTION book_orders(
    bigint, uuid[], int[], text[], bytea[], bigint[], text[], text[], int[], int[], text[], bigint[], int
);
DROP TRIGGER transitions ON orders;
DROP TABLE test_card_refunds, test_card_sessions, refunds, payment_messages, payments, order_transitions,
    payment_transitions;
DROP FUNCTION hold_to_transitions();
ALTER TABLE orders DROP COLUMN cancel_reason, DROP COLUMN pay_by;
ALTER TABLE events DROP COLUMN fee_per_seat, DROP COLUMN payment_methods;

CREATE FUNCTION book_orders(
    p_event bigint,
    p_ids uuid[], p_epochs int[], p_visitors text[], p_hashes bytea[], p_totals bigint[],
    p_names text[], p_emails text[],
    p_ord int[], p_seats int[]
) RETURNS TABLE (order_id uuid, outcome text, reason text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_nestloop = off SET enable_bitmapscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    ev events%ROWTYPE;
    on_sale boolean;
BEGIN
    UPDATE events SET seq = seq + 1 WHERE id = p_event RETURNING * INTO ev;
    on_sale := ev.id IS NOT NULL AND ev.deleted_at IS NULL AND ev.status = 'published';

    RETURN QUERY
    WITH asked AS (
        SELECT a.*
        FROM unnest(p_ids, p_epochs, p_visitors, p_hashes, p_totals, p_names, p_emails)
            WITH ORDINALITY AS a (id, epoch, visitor, hash, total, name, email, n)
    ),
    known AS (
        SELECT v.* FROM verdicts v WHERE v.order_id = ANY (p_ids)
    ),
    fresh AS (
        SELECT a.* FROM asked a WHERE NOT EXISTS (SELECT FROM known k WHERE k.order_id = a.id)
    ),
    wanted AS (
        SELECT f.n, w.seat, s.status, s.price,
            row_number() OVER (PARTITION BY w.seat ORDER BY w.n, w.k) > 1 OR (
                SELECT true FROM bookings b
                WHERE b.event_id = p_event AND b.seat = w.seat AND b.status IN ('pending', 'confirmed')
                LIMIT 1
            ) IS TRUE AS taken
        FROM unnest(p_ord, p_seats) WITH ORDINALITY AS w (n, seat, k)
        JOIN fresh f ON f.n = w.n
        LEFT JOIN LATERAL (
            SELECT seats.status,
                (SELECT c.price FROM categories c WHERE c.id = seats.category_id LIMIT 1) AS price
            FROM seats
            WHERE seats.event_id = p_event AND seats.index = w.seat AND seats.deleted_at IS NULL
            LIMIT 1
        ) s ON true
    ),
    summed AS (
        SELECT w.n, count(*) AS seats, sum(w.price)::bigint AS total,
            bool_or(w.status IS NULL) AS unknown, bool_or(w.status = 'blocked') AS blocked,
            bool_or(w.taken) AS taken
        FROM wanted w GROUP BY w.n
    ),
    counted AS (
        SELECT f.*, s.total AS price, s.unknown, s.blocked, s.taken, coalesce(s.seats, 0) AS seats,
            sum(s.seats) OVER (PARTITION BY f.visitor ORDER BY f.n) + (
                SELECT coalesce(sum(mine.seats), 0) FROM orders o, LATERAL (
                    SELECT count(*) AS seats FROM bookings b
                    WHERE b.order_id = o.id AND b.status IN ('pending', 'confirmed') OFFSET 0
                ) mine
                WHERE o.visitor = f.visitor AND o.event_id = p_event
                    AND o.status IN ('pending', 'confirmed')
            ) AS of_visitor
        FROM fresh f LEFT JOIN summed s ON s.n = f.n
    ),
    decided AS (
        SELECT c.*, CASE
            WHEN NOT on_sale THEN 'not_on_sale'
            WHEN c.epoch <> ev.epoch THEN 'wrong_epoch'
            WHEN c.seats = 0 THEN 'no_seats'
            WHEN c.unknown THEN 'seat_out_of_range'
            WHEN c.blocked THEN 'seat_blocked'
            WHEN c.taken THEN 'seat_taken'
            WHEN c.total <> c.price THEN 'price_changed'
            WHEN c.of_visitor > ev.seats_per_visitor THEN 'too_many_seats'
            ELSE ''
        END AS why
        FROM counted c
    ),
    -- In the order of the ids, so that two batches which share ids wait for each other instead of dying.
    told AS (
        INSERT INTO verdicts AS v (order_id, event_id, visitor, body_hash, outcome, reason, seq)
        SELECT d.id, p_event, d.visitor, d.hash,
            CASE d.why WHEN '' THEN 'committed' ELSE 'refused' END, d.why, coalesce(ev.seq, 0)
        FROM decided d ORDER BY d.id
        ON CONFLICT (order_id) DO NOTHING
        RETURNING v.order_id, v.outcome, v.reason
    ),
    bought AS (
        SELECT d.* FROM told t JOIN decided d ON d.id = t.order_id WHERE t.outcome = 'committed'
    ),
    ordered AS (
        INSERT INTO orders (id, event_id, visitor, name, email, status, total, currency,
            payment_status, payment_method)
        SELECT b.id, p_event, b.visitor, b.name, b.email, 'confirmed', b.total, ev.currency, 'none', 'free'
        FROM bought b
    ),
    booked AS (
        INSERT INTO bookings (order_id, event_id, seat, status, price, currency, seq_on)
        SELECT b.id, p_event, w.seat, 'confirmed', w.price, ev.currency, ev.seq
        FROM bought b JOIN wanted w ON w.n = b.n
    )
    SELECT t.order_id, t.outcome, t.reason FROM told t
    UNION ALL
    -- A tombstone answers whoever asks; anything else only the visitor and the body that it was given to.
    SELECT k.order_id,
        CASE WHEN same.body THEN k.outcome ELSE 'refused' END,
        CASE WHEN same.body THEN k.reason ELSE 'order_reused' END
    FROM known k JOIN asked a ON a.id = k.order_id,
        LATERAL (
            SELECT k.outcome = 'aborted' OR (k.visitor = a.visitor AND k.body_hash = a.hash) AS body
        ) same;
END $$;

CREATE FUNCTION cancel_order(p_order uuid, p_visitor text)
RETURNS TABLE (result text, event_id bigint, seats int[])
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v verdicts%ROWTYPE;
    now_seq bigint;
BEGIN
    -- Read before the lock: a verdict never changes.
    SELECT * INTO v FROM verdicts WHERE order_id = p_order AND visitor = p_visitor;
    IF v.order_id IS NULL THEN
        RETURN QUERY SELECT 'order_not_found', NULL::bigint, NULL::int[];
        RETURN;
    ELSIF v.outcome <> 'committed' THEN
        RETURN QUERY SELECT 'order_not_active', v.event_id, NULL::int[];
        RETURN;
    END IF;
    UPDATE events SET seq = seq + 1 WHERE id = v.event_id RETURNING seq INTO now_seq;
    UPDATE orders SET status = 'cancelled', cancelled_at = now()
    WHERE id = p_order AND status IN ('pending', 'confirmed');
    UPDATE bookings SET status = 'cancelled', seq_off = now_seq
    WHERE order_id = p_order AND status IN ('pending', 'confirmed');
    RETURN QUERY SELECT 'cancelled', v.event_id,
        (SELECT array_agg(b.seat ORDER BY b.seat) FROM bookings b WHERE b.order_id = p_order);
END $$;
