-- migrate:up

-- An account whose address is not verified has no password: whoever owns the address brings one along when they
-- follow the link of their own sign-up. `generation` is in each session; raising it ends all of them.
ALTER TABLE users
    ADD COLUMN password_hash text NOT NULL DEFAULT '',
    ADD COLUMN role text NOT NULL DEFAULT 'buyer' CHECK (role IN ('buyer', 'viewer', 'box_office', 'admin')),
    ADD COLUMN verified_at timestamptz,
    ADD COLUMN generation int NOT NULL DEFAULT 0,
    ADD CONSTRAINT password_needs_verified_address CHECK (password_hash = '' OR verified_at IS NOT NULL);

-- The secrets of the links in mails, by their SHA-256. A sign-up's name and password wait here for its own link:
-- were they kept with the account, the owner of an address could be made to confirm somebody else's password.
CREATE TABLE account_tokens (
    hash bytea PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    purpose text NOT NULL CHECK (purpose IN ('verify', 'reset')),
    name text NOT NULL DEFAULT '',
    password_hash text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX account_tokens_of_user ON account_tokens (user_id);

-- Which guests' orders a verified address claims.
CREATE INDEX orders_of_guest ON orders (lower(email)) WHERE user_id IS NULL;

-- migrate:down

DROP INDEX orders_of_guest;
DROP TABLE account_tokens;
ALTER TABLE users
    DROP CONSTRAINT password_needs_verified_address,
    DROP COLUMN generation,
    DROP COLUMN verified_at,
    DROP COLUMN role,
    DROP COLUMN password_hash;
