-- Repeatable.
-- A handle of an account whose id is known suppresses only who has no id: whoever bears it under another id is its next owner.
ALTER TABLE suppressions
    COMMENT COLUMN value 'Of a value: HMAC-SHA256, hex, as author_email and author_phone. Of an account: handle, if it is a handle whose account has an id. Else blank.';
