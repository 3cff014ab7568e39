-- Repeatable.
-- A dead letter from before migration 032 that is JSON and does not say whose it is counts as unreadable, too, by the rule of
-- sinks/letter_subject.py: an author or a name of another shape, an account without a platform, nothing that names anybody.
-- No erase finds it, so it goes after 90 days.
ALTER TABLE dead_letters MODIFY COLUMN unreadable UInt8 DEFAULT form = 0 AND raw != '' AND NOT (
    JSONType(raw) = 'Object' AND JSONType(raw, 'author') IN ('Null', 'Object') AND JSONType(raw, 'author', 'accounts') IN ('Null', 'Array')
    AND JSONType(raw, 'platform') IN ('Null', 'String', 'Int64', 'UInt64') AND JSONType(raw, 'id') IN ('Null', 'String', 'Int64', 'UInt64')
    AND JSONType(raw, 'author', 'id') IN ('Null', 'String', 'Int64', 'UInt64') AND JSONType(raw, 'author', 'handle') IN ('Null', 'String', 'Int64', 'UInt64')
    AND JSONType(raw, 'author', 'email') IN ('Null', 'String', 'Int64', 'UInt64') AND JSONType(raw, 'author', 'phone') IN ('Null', 'String', 'Int64', 'UInt64')
    AND (JSONExtractRaw(raw, 'platform') NOT IN ('', 'null', '""')
        OR JSONExtractRaw(raw, 'author', 'id') IN ('', 'null', '""') AND JSONExtractRaw(raw, 'author', 'handle') IN ('', 'null', '""'))
    AND (JSONExtractRaw(raw, 'platform') NOT IN ('', 'null', '""') AND (JSONExtractRaw(raw, 'id') NOT IN ('', 'null', '""')
            OR JSONExtractRaw(raw, 'author', 'id') NOT IN ('', 'null', '""') OR JSONExtractRaw(raw, 'author', 'handle') NOT IN ('', 'null', '""'))
        OR JSONExtractRaw(raw, 'author', 'email') NOT IN ('', 'null', '""') OR JSONExtractRaw(raw, 'author', 'phone') NOT IN ('', 'null', '""')
        OR match(arrayStringConcat(JSONExtract(raw, 'author', 'accounts', 'Array(String)'), '\n'),
            '(?m)^[a-z][a-z0-9_.-]{0,63}:@?[^\\s@/]\\S*$')));

-- Where the column is in the files already. What is there goes in the background.
ALTER TABLE dead_letters UPDATE unreadable = 1 WHERE form = 0 AND unreadable = 0 AND raw != '' AND NOT (
    JSONType(raw) = 'Object' AND JSONType(raw, 'author') IN ('Null', 'Object') AND JSONType(raw, 'author', 'accounts') IN ('Null', 'Array')
    AND JSONType(raw, 'platform') IN ('Null', 'String', 'Int64', 'UInt64') AND JSONType(raw, 'id') IN ('Null', 'String', 'Int64', 'UInt64')
    AND JSONType(raw, 'author', 'id') IN ('Null', 'String', 'Int64', 'UInt64') AND JSONType(raw, 'author', 'handle') IN ('Null', 'String', 'Int64', 'UInt64')
    AND JSONType(raw, 'author', 'email') IN ('Null', 'String', 'Int64', 'UInt64') AND JSONType(raw, 'author', 'phone') IN ('Null', 'String', 'Int64', 'UInt64')
    AND (JSONExtractRaw(raw, 'platform') NOT IN ('', 'null', '""')
        OR JSONExtractRaw(raw, 'author', 'id') IN ('', 'null', '""') AND JSONExtractRaw(raw, 'author', 'handle') IN ('', 'null', '""'))
    AND (JSONExtractRaw(raw, 'platform') NOT IN ('', 'null', '""') AND (JSONExtractRaw(raw, 'id') NOT IN ('', 'null', '""')
            OR JSONExtractRaw(raw, 'author', 'id') NOT IN ('', 'null', '""') OR JSONExtractRaw(raw, 'author', 'handle') NOT IN ('', 'null', '""'))
        OR JSONExtractRaw(raw, 'author', 'email') NOT IN ('', 'null', '""') OR JSONExtractRaw(raw, 'author', 'phone') NOT IN ('', 'null', '""')
        OR match(arrayStringConcat(JSONExtract(raw, 'author', 'accounts', 'Array(String)'), '\n'),
            '(?m)^[a-z][a-z0-9_.-]{0,63}:@?[^\\s@/]\\S*$'))) SETTINGS mutations_sync = 0;

ALTER TABLE dead_letters MATERIALIZE TTL SETTINGS mutations_sync = 0;
