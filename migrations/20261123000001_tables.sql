-- migrate:up

-- What Postgres remembers. Money is in minor units of `currency`; times are UTC instants. `updated_at` is kept
-- by triggers, so that no statement can forget it. `deleted_at` is soft deletion: a sold ticket outlives what
-- it was sold for.

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;

-- One row. gen_random_uuid() draws on the server's strong random source (122 bits each); pgcrypto is not in
-- every Postgres that Seatmap supports.
CREATE TABLE instance (
    id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    cookie_secret bytea NOT NULL DEFAULT
        sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO instance DEFAULT VALUES;

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX one_user_per_email ON users (lower(email)) WHERE deleted_at IS NULL;

-- `body` is written and read by seatmap.plan; Postgres does not look inside.
CREATE TABLE plans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    body text NOT NULL,
    seat_count int NOT NULL CHECK (seat_count >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

-- The row is the lock under which an event's orders and bookings are written, and `seq` counts those
-- transactions: it changes at every group commit, so the page keeps room for HOT updates, and no index may
-- name a column that a booking changes. `epoch` fences Redis' rebuilds; `status_version` orders the status.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    starts_at timestamptz NOT NULL,
    timezone text NOT NULL DEFAULT 'UTC',
    venue text NOT NULL DEFAULT '',
    rows int CHECK (rows > 0),
    columns int CHECK (columns > 0),
    plan_id bigint NOT NULL REFERENCES plans,
    plan_version int NOT NULL DEFAULT 1,
    seat_count int NOT NULL CHECK (seat_count >= 0),
    currency char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    seats_per_visitor int NOT NULL CHECK (seats_per_visitor > 0),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'cancelled')),
    status_version bigint NOT NULL DEFAULT 0,
    on_sale_from timestamptz,
    on_sale_until timestamptz,
    epoch int NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE categories (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    name text NOT NULL,
    price bigint NOT NULL CHECK (price >= 0),
    color text NOT NULL DEFAULT '',
    position int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX one_category_per_name ON categories (event_id, name) WHERE deleted_at IS NULL;

-- `index` is append-only and never reused: a removed seat stays, blocked. Held lives in Redis and booked
-- follows from bookings, so a seat's own status is only whether it is for sale at all.
CREATE TABLE seats (
    event_id bigint NOT NULL REFERENCES events,
    index int NOT NULL CHECK (index >= 0),
    section text NOT NULL DEFAULT '',
    "row" text NOT NULL DEFAULT '',
    number text NOT NULL DEFAULT '',
    label text NOT NULL,
    x double precision NOT NULL,
    y double precision NOT NULL,
    category_id bigint NOT NULL REFERENCES categories,
    status text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'blocked')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (event_id, index)
);
CREATE INDEX seats_blocked ON seats (event_id, index) WHERE status = 'blocked';

-- What became of each order id, once and for ever. A row without an order is a refusal or a tombstone
-- ('aborted'). There is no foreign key to events: a tombstone must not queue behind the event's lock, and
-- a shared lock on the hottest row of the database would turn each update of it into a multixact.
CREATE TABLE verdicts (
    order_id uuid PRIMARY KEY,
    event_id bigint NOT NULL,
    visitor text NOT NULL,
    body_hash bytea NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('committed', 'refused', 'aborted')),
    reason text NOT NULL DEFAULT '',
    seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    id uuid PRIMARY KEY REFERENCES verdicts,
    event_id bigint NOT NULL REFERENCES events,
    visitor text NOT NULL,
    user_id bigint REFERENCES users,
    name text NOT NULL,
    email text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled')),
    total bigint NOT NULL CHECK (total >= 0),
    currency char(3) NOT NULL,
    payment_status text NOT NULL DEFAULT 'none'
        CHECK (payment_status IN ('none', 'unpaid', 'paid', 'failed', 'refund_due', 'refunded')),
    payment_method text NOT NULL DEFAULT 'free',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX orders_of_visitor ON orders (visitor, event_id);
CREATE INDEX orders_of_user ON orders (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE bookings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders,
    event_id bigint NOT NULL,
    seat int NOT NULL,
    user_id bigint REFERENCES users,
    status text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled')),
    price bigint NOT NULL CHECK (price >= 0),
    currency char(3) NOT NULL,
    seq_on bigint NOT NULL,
    seq_off bigint CHECK (seq_off > seq_on),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CHECK ((status = 'cancelled') = (seq_off IS NOT NULL)),
    FOREIGN KEY (event_id, seat) REFERENCES seats (event_id, index)
);
-- The last wall of "never twice": it holds whatever the code above it does.
CREATE UNIQUE INDEX one_active_booking_per_seat ON bookings (event_id, seat)
    WHERE status IN ('pending', 'confirmed');
CREATE INDEX bookings_of_order ON bookings (order_id);
CREATE INDEX bookings_of_user ON bookings (user_id) WHERE user_id IS NOT NULL;

-- How far a background job is, for people. The queue's own rows are pgqueuer's.
CREATE TABLE jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    event_id bigint REFERENCES events,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    done int NOT NULL DEFAULT 0,
    total int NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON plans FOR EACH ROW EXECUTE FUNCTION touch();
-- A booking does not edit its event.
CREATE TRIGGER touch BEFORE UPDATE ON events FOR EACH ROW
    WHEN (OLD.seq = NEW.seq) EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON categories FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON seats FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION touch();

-- migrate:down

DROP TABLE jobs, bookings, orders, verdicts, seats, categories, events, plans, users, instance;
DROP FUNCTION touch();
