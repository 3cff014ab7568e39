-- Repeatable.
-- Only the beginning of a text is put into lower case, which takes three bytes of a letter to one at the most (the Kelvin sign):
-- of texts of a megabyte each search lowered all. The sketches are the same.
ALTER TABLE interactions
    MODIFY COLUMN text_sketch Array(UInt32) ALIAS
        arraySlice(arraySort(arrayFilter(x -> x < 2147483648, arrayMap(x -> xxHash32(x), ngrams(
            substring(lowerUTF8(substring(if(direction != 'outbound' AND notEmpty(brands), text, ''), 1, 1200)), 1, 400), 5)))), 1, 8)
        COMMENT 'MinHash of text.';
