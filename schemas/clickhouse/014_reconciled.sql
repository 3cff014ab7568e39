-- How rows of one event under several times become one (`earshot reconcile`): by the first that landed, and where it stands.
ALTER TABLE interactions
    -- A later version of a row has a later arrival.
    ADD COLUMN landed_at DateTime64(3, 'UTC') DEFAULT ingested_at COMMENT 'when the first row of its event landed',
    ADD COLUMN moved_to DateTime64(3, 'UTC') COMMENT 'is_deleted, since the row of its event has this created_at; 1970: not moved';
