-- What people think of answers: one opinion of each. The entry may be forgotten before it is.
CREATE TABLE feedback (
    tenant INTEGER NOT NULL REFERENCES tenants (key) ON DELETE CASCADE,
    entry  INTEGER NOT NULL,
    rating TEXT    NOT NULL,
    text   TEXT,
    at     INTEGER NOT NULL,
    PRIMARY KEY (tenant, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX feedback_by_age ON feedback (at);
