-- What a row knows of the creates of its event: one that says no more than an earlier one is a redelivery, also after a merge.
ALTER TABLE interactions
    ADD COLUMN create_revisions Array(UInt64) COMMENT 'revisions of the creates that the row was made of, the last 50; blank: its own',
    ADD COLUMN other_created_at DateTime64(3, 'UTC') COMMENT 'the latest other created_at that a create of the event named; 1970: none';
