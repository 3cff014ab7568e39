-- What a text is alike to, for the search for campaigns (docs/campaigns.md): of the hashes of its 5-character pieces the eight
-- lowest. Texts that share much share most of them. Only of texts about a brand, by others than the brand; rows from before have
-- none. It is computed from what an insert brings, so that nobody who writes has to know of it.
ALTER TABLE interactions ADD COLUMN text_sketch Array(UInt32) MATERIALIZED
    arraySlice(arraySort(arrayFilter(x -> x < 2147483648, arrayMap(x -> xxHash32(x), ngrams(
        substring(lowerUTF8(if(direction != 'outbound' AND notEmpty(brands), text, '')), 1, 400), 5)))), 1, 8)
    COMMENT 'MinHash of text';
