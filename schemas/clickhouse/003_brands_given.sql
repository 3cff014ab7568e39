-- What the source gave in `brands`, apart from what was found in the text: a rematch may only take back the latter.
-- Of rows from before this it is not known, so all their brands count as given: a rematch adds to them and takes nothing away.
ALTER TABLE interactions ADD COLUMN brands_given Array(LowCardinality(String)) DEFAULT brands AFTER brands;
ALTER TABLE interactions MATERIALIZE COLUMN brands_given SETTINGS mutations_sync = 1;
ALTER TABLE interactions MODIFY COLUMN brands_given REMOVE DEFAULT;
