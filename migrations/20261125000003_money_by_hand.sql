-- migrate:up

-- What a person does about money: a refund of what was paid at the door is handed out by the box office, which says
-- so; what is stuck is tried again. And what a day's sales are reckoned from.
--
-- `captured_seq` and `refunds.seq` say at which point of the event's history the money came or was owed back: the
-- seats that were paid are those that the order had at that point, the refunded ones those that it lost there.
-- `received` is what came of another sum than was asked for.
ALTER TABLE payments
    ADD COLUMN received bigint,
    ADD COLUMN received_currency char(3),
    ADD COLUMN captured_at timestamptz,
    ADD COLUMN captured_seq bigint;
ALTER TABLE refunds
    ADD COLUMN seq bigint,
    ADD COLUMN paid_out_by bigint REFERENCES users,
    ADD COLUMN paid_out_at timestamptz,
    DROP CONSTRAINT refunds_status_check,
    ADD CONSTRAINT refunds_status_check CHECK (status IN ('due', 'sent', 'by_hand', 'done', 'failed')),
    ADD CONSTRAINT paid_out_by_hand CHECK ((paid_out_by IS NULL) = (paid_out_at IS NULL));
CREATE INDEX refunds_by_hand ON refunds (payment_id) WHERE status = 'by_hand';
CREATE INDEX payments_by_capture ON payments (captured_at);
CREATE INDEX refunds_by_age ON refunds (created_at);

UPDATE refunds SET status = 'by_hand' FROM payments p
WHERE p.id = refunds.payment_id AND p.provider = 'door' AND refunds.status IN ('due', 'sent');
UPDATE payments p SET captured_at = p.updated_at,
    captured_seq = (SELECT max(b.seq_on) FROM bookings b WHERE b.order_id = p.order_id)
WHERE p.status IN ('captured', 'refund_due', 'refunded');

-- A late payment moves to the order that took its seats again; those are what it paid for.
CREATE FUNCTION note_capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.captured_at := coalesce(OLD.captured_at, now());
    NEW.captured_seq := (SELECT e.seq FROM orders o JOIN events e ON e.id = o.event_id WHERE o.id = NEW.order_id);
    RETURN NEW;
END $$;
CREATE TRIGGER captured BEFORE UPDATE ON payments FOR EACH ROW
    WHEN (NEW.status = 'captured' AND (OLD.status <> 'captured' OR OLD.order_id <> NEW.order_id))
    EXECUTE FUNCTION note_capture();

-- As before; what was paid at the door waits for somebody to hand it out.
CREATE OR REPLACE FUNCTION owe_refund(p_payment bigint, p_amount bigint, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
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
    INSERT INTO refunds (payment_id, amount, reason, status, seq)
    SELECT p_payment, back, p_reason, CASE pay.provider WHEN 'door' THEN 'by_hand' ELSE 'due' END, e.seq
    FROM orders o JOIN events e ON e.id = o.event_id WHERE o.id = pay.order_id;
    IF owed + back = pay.amount THEN
        UPDATE payments SET status = 'refund_due' WHERE id = p_payment;
        UPDATE orders SET payment_status = 'refund_due' WHERE id = pay.order_id;
    END IF;
END $$;

-- As before; of another sum than was asked for, what came is kept.
CREATE OR REPLACE FUNCTION settle_payment(
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
        UPDATE payments SET status = 'stuck', received = p_amount, received_currency = p_currency WHERE id = pay.id;
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

-- What a person asks for where money is stuck. Refunds that the provider would not make are due again, under the same
-- ids, so that they are paid once however often this is asked for; another sum than was asked for goes back, and the
-- order with it. Answers how many refunds are due again, what goes back, and the seats that the order lost. No row:
-- there is no such order.
CREATE FUNCTION retry_payment(p_order uuid)
RETURNS TABLE (event_id bigint, visitor text, again int, back bigint, seats int[])
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    ev events%ROWTYPE;
    pay payments%ROWTYPE;
    due_again int;
    sum_back bigint := 0;
    gone int[] := '{}';
BEGIN
    UPDATE events e SET seq = seq + 1 FROM orders o WHERE o.id = p_order AND e.id = o.event_id RETURNING e.* INTO ev;
    SELECT * INTO pay FROM payments WHERE order_id = p_order FOR UPDATE;
    UPDATE refunds SET status = 'due' WHERE payment_id = pay.id AND status = 'failed';
    GET DIAGNOSTICS due_again = ROW_COUNT;
    IF pay.status = 'stuck' AND due_again > 0 THEN
        UPDATE payments SET status = 'refund_due' WHERE id = pay.id;
    ELSIF pay.status = 'stuck' AND pay.received > 0 THEN
        sum_back := pay.received;
        gone := cancel_within(p_order, NULL, 'staff', ev.seq);
        UPDATE payments SET status = 'refund_due', amount = received, currency = received_currency,
            captured_at = pay.updated_at, captured_seq = ev.seq
        WHERE id = pay.id;
        INSERT INTO refunds (payment_id, amount, reason, seq) VALUES (pay.id, sum_back, 'wrong_sum', ev.seq);
        UPDATE orders SET payment_status = 'refund_due' WHERE id = p_order;
    END IF;
    RETURN QUERY SELECT ev.id, o.visitor, due_again, sum_back, gone FROM orders o WHERE o.id = p_order;
END $$;

-- Says of refunds that were handed out, who did it. Answers what that was in sum; null, and nothing is changed, unless
-- each of them waited for that.
CREATE FUNCTION pay_out_refunds(p_order uuid, p_refunds bigint[], p_user bigint)
RETURNS TABLE (event_id bigint, amount bigint, currency text)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    pay payments%ROWTYPE;
    of_event bigint;
    paid bigint;
BEGIN
    UPDATE events e SET seq = seq + 1 FROM orders o WHERE o.id = p_order AND e.id = o.event_id
    RETURNING e.id INTO of_event;
    SELECT * INTO pay FROM payments WHERE order_id = p_order FOR UPDATE;
    SELECT sum(r.amount) INTO paid FROM refunds r
    WHERE r.payment_id = pay.id AND r.status = 'by_hand' AND r.id = ANY (p_refunds)
    HAVING count(*) = (SELECT count(DISTINCT asked) FROM unnest(p_refunds) asked);
    IF paid IS NOT NULL THEN
        UPDATE refunds SET status = 'done', paid_out_by = p_user, paid_out_at = now() WHERE id = ANY (p_refunds);
        UPDATE payments SET status = 'refunded' WHERE id = pay.id AND status = 'refund_due'
            AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = pay.id AND r.status <> 'done');
        IF FOUND THEN
            UPDATE orders SET payment_status = 'refunded' WHERE id = p_order;
        END IF;
    END IF;
    RETURN QUERY SELECT of_event, paid, pay.currency::text WHERE of_event IS NOT NULL;
END $$;

-- migrate:down

DROP FUNCTION pay_out_refunds(uuid, bigint[], bigint);
DROP FUNCTION retry_payment(uuid);
CREATE OR REPLACE FUNCTION settle_payment(
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

CREATE OR REPLACE FUNCTION owe_refund(p_payment bigint, p_amount bigint, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
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

DROP TRIGGER captured ON payments;
DROP FUNCTION note_capture();
UPDATE refunds SET status = 'due' WHERE status = 'by_hand';
ALTER TABLE refunds
    DROP CONSTRAINT paid_out_by_hand,
    DROP CONSTRAINT refunds_status_check,
    ADD CONSTRAINT refunds_status_check CHECK (status IN ('due', 'sent', 'done', 'failed')),
    DROP COLUMN paid_out_at,
    DROP COLUMN paid_out_by,
    DROP COLUMN seq;
DROP INDEX refunds_by_age;
DROP INDEX refunds_by_hand;
DROP INDEX payments_by_capture;
ALTER TABLE payments
    DROP COLUMN captured_seq,
    DROP COLUMN captured_at,
    DROP COLUMN received_currency,
    DROP COLUMN received;
