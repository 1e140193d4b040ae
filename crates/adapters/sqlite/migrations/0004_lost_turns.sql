-- What the ledger is told of a turn that does not come to its end. Reservations written before tell it nothing.
ALTER TABLE reservations ADD COLUMN if_lost TEXT;

-- What was used in windows that are long over is swept.
CREATE INDEX usage_by_window ON usage (window_started_at);

-- Chats that were opened and never written in are swept as well.
CREATE INDEX tenants_unused ON tenants (created_at)
    WHERE generation = 0 AND platform IN ('web', 'api') AND last_active_at = created_at;
