-- Repeatable.
-- Columns that are blank in nearly all rows, and by which no named query groups or filters: an empty dictionary costs a merge more
-- than blank texts, which ClickHouse stores sparsely.
-- They are rewritten in the background, part by part, and that goes on after a restart; meanwhile a query reads both forms, and
-- what is inserted has the new one.
ALTER TABLE interactions
    -- A search computes it for the texts that it reads, not each insert for all.
    MODIFY COLUMN text_sketch Array(UInt32) ALIAS
        arraySlice(arraySort(arrayFilter(x -> x < 2147483648, arrayMap(x -> xxHash32(x), ngrams(
            substring(lowerUTF8(if(direction != 'outbound' AND notEmpty(brands), text, '')), 1, 400), 5)))), 1, 8)
        COMMENT 'MinHash of text.',
    MODIFY COLUMN thread_status String,
    MODIFY COLUMN thread_team String,
    MODIFY COLUMN reaction String,
    MODIFY COLUMN order_currency String,
    MODIFY COLUMN measure_name String,
    MODIFY COLUMN brands_linked Array(String),
    MODIFY COLUMN sentiment_reason String
    SETTINGS alter_sync = 0;

-- A view keeps the types that its columns had.
CREATE OR REPLACE VIEW interactions_now AS
SELECT *, account_key, if(dictGet('customer_of', 'customer_key', account_key) AS customer = 0, account_key, customer) AS customer_now
FROM interactions;

ALTER TABLE interactions_now
    MODIFY COMMENT 'The rows of interactions with the customer of today.',
    COMMENT COLUMN account_key 'account_key of the author; 0: no author.',
    COMMENT COLUMN customer_now 'The customer of today: the key of one of the customer''s accounts; an account without others is its own.';
