-- The brands that nothing but a link to one of their own domains mentions. Of rows from before this it is blank until a rematch.
ALTER TABLE interactions ADD COLUMN brands_linked Array(LowCardinality(String)) AFTER brands_given;
