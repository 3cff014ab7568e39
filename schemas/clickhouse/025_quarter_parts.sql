-- Repeatable.
ALTER TABLE quarters
    ADD COLUMN IF NOT EXISTS part UInt8 COMMENT '0: the whole quarter-hour. 1 to 15: a minute of it, while it is running: all parts together are the quarter-hour.'
        AFTER language,
    MODIFY ORDER BY (brand, quarter, platform, language, part);
