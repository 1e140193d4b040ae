-- The window a reservation is taken from: what a crash is charged belongs into it. Those written before charge the
-- window that is open.
ALTER TABLE reservations ADD COLUMN window_started_at INTEGER;

-- Turns and calls that were settled in the window.
ALTER TABLE usage ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;

-- What calls of models have cost, by day (days since 1970-01-01, UTC), payer and model.
CREATE TABLE ledger (
    day             INTEGER NOT NULL,
    payer           TEXT    NOT NULL,
    tier            TEXT    NOT NULL,
    provider        TEXT    NOT NULL,
    model           TEXT    NOT NULL,
    calls           INTEGER NOT NULL,
    estimated_calls INTEGER NOT NULL,
    input_tokens    INTEGER NOT NULL,
    output_tokens   INTEGER NOT NULL,
    cost_micros     INTEGER NOT NULL,
    PRIMARY KEY (day, payer, tier, provider, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_payer ON ledger (payer, day);
