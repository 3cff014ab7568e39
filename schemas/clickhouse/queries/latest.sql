-- The newest interactions.
--
-- parameter brand = []: of these brands; none named: of all, and of none
-- parameter limit = 20: rows at most
-- column created_at: when the author wrote it, UTC
-- column platform: where
-- column kind: post, comment, review, message ...
-- column author: the handle
-- column brands: the brands that it mentions
-- column sentiment: negative, neutral, positive; blank: not labelled
-- column text: what was written
SELECT * EXCEPT event_key
FROM
(
    SELECT created_at, platform, kind, author_handle AS author, brands, sentiment_label AS sentiment, text, event_key
    FROM interactions FINAL
    WHERE empty({brand:Array(String)}) OR hasAny(brands, {brand:Array(String)})
    ORDER BY toStartOfMinute(created_at) DESC, created_at DESC, event_key
    LIMIT {limit:UInt32}
    -- Of each part, of a year maybe, one block is read at least.
    SETTINGS max_block_size = 8192
)
ORDER BY created_at DESC, event_key
