-- Repeatable.
-- Eleven parts of a size become one where it were six: a row is written anew a third less often, and there are some parts more.
-- Up to 256 MiB a merge writes a compact part: to read compact parts column by column, as for a wide one, costs a quarter more.
ALTER TABLE interactions MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456;

ALTER TABLE account_events MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 134217728;
