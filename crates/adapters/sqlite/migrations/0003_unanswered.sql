-- Which message of the inbox brought what was said, and how it ended when that was without an answer. What was written
-- before is known by neither.
ALTER TABLE history ADD COLUMN entry INTEGER;
ALTER TABLE history ADD COLUMN unanswered TEXT;
-- How an answer ended, on its last message.
ALTER TABLE history ADD COLUMN finish_reason TEXT;
-- A conversation is read in the order in which its messages were accepted, not in that in which they ended.
CREATE INDEX history_in_order ON history (tenant, entry, seq);

-- A second budget that a reservation is taken from, and its window.
ALTER TABLE reservations ADD COLUMN shared_account TEXT;
ALTER TABLE reservations ADD COLUMN shared_window_started_at INTEGER;
