-- migrate:up

-- Decides a batch of orders of one event: one call, one transaction, one commit. READ COMMITTED is enough and
-- is meant: the row lock on the event serialises, and each statement below sees what was committed before the
-- lock was granted. No clock is compared here; an order that took too long meets its tombstone.
--
-- One entry per order: p_ids, p_epochs (of BEGIN's reply), p_visitors, p_hashes, p_totals, p_names, p_emails.
-- One entry per seat: p_ord (1-based place of its order in p_ids), p_seats.
--
-- Answers one row per order, except for an order whose verdict was committed elsewhere while this waited to
-- insert its own: the caller reads that one again. The caller also keeps two orders with the same id, visitor
-- or seat out of one batch; the rules here stay safe without that, though not as kind to the later order.
--
-- The settings pin the plan, which a session keeps: one made while the tables were empty would go on reading
-- whole tables when they are not, and one that expects ten orders would join two hundred by nested loops. So
-- the batch's own rows meet by hash joins, and the tables are read in correlated subqueries that a LIMIT or an
-- OFFSET keeps apart, which leaves only their indexes: one each, since a bitmap over two of them reads the
-- whole partial index of active bookings again for every order. (jit, because Postgres 15 counts a plan that it
-- could not avoid as extremely dear, and would compile it.)
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

-- Plants a verdict other than 'committed' under an order id, unless it has one: 'aborted' (a tombstone, by the
-- resolver) or 'refused' (Redis refused to BEGIN). Whichever of this and book_orders inserts first wins.
--
-- It does not answer what the verdict is, and must not: this waits for a booking in flight, and a SELECT in the
-- same statement would still look through the snapshot from before the wait and find nothing. In the same
-- transaction, it could tell a verdict that is never committed. So the caller reads in a second statement,
-- after this one has been committed.
CREATE FUNCTION decide_abort(
    p_order uuid, p_event bigint, p_visitor text, p_hash bytea, p_outcome text, p_reason text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_outcome NOT IN ('aborted', 'refused') THEN
        RAISE EXCEPTION 'only a booking can give the outcome %', p_outcome;
    END IF;
    INSERT INTO verdicts (order_id, event_id, visitor, body_hash, outcome, reason)
    VALUES (p_order, p_event, p_visitor, p_hash, p_outcome, p_reason)
    ON CONFLICT (order_id) DO NOTHING;
END $$;

-- Cancels a whole order of a visitor. Answers one row: result is 'cancelled' (also when it was already, so that
-- a lost answer can be asked for again), 'order_not_found', or 'order_not_active' (it never became an order);
-- then the event and the seats that the order had, in index order.
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

-- migrate:down

DROP FUNCTION cancel_order(uuid, text);
DROP FUNCTION decide_abort(uuid, bigint, text, bytea, text, text);
DROP FUNCTION book_orders(
    bigint, uuid[], int[], text[], bytea[], bigint[], text[], text[], int[], int[]
);
