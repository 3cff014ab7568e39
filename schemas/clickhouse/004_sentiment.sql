-- What a text says of the brands in it, as the model reads it; blank and null where nothing is to be read.
ALTER TABLE interactions
    ADD COLUMN sentiment_label LowCardinality(String) COMMENT 'negative, neutral or positive' AFTER brands_given,
    -- Null and not 0, so that avg() is over what was labelled.
    ADD COLUMN sentiment_negative Nullable(Float32) COMMENT 'probability' AFTER sentiment_label,
    ADD COLUMN sentiment_neutral Nullable(Float32) AFTER sentiment_negative,
    ADD COLUMN sentiment_positive Nullable(Float32) AFTER sentiment_neutral,
    ADD COLUMN sentiment_model LowCardinality(String) COMMENT 'name@content hash' AFTER sentiment_positive,
    ADD COLUMN sentiment_language LowCardinality(String) COMMENT 'ISO 639, the event''s or detected' AFTER sentiment_model,
    ADD COLUMN sentiment_status LowCardinality(String) COMMENT 'labelled, deferred or unknown' AFTER sentiment_language,
    ADD COLUMN sentiment_reason LowCardinality(String) COMMENT 'why it is unknown' AFTER sentiment_status,
    ADD COLUMN sentiment_score Nullable(Float32) ALIAS sentiment_positive - sentiment_negative COMMENT '-1 to 1' AFTER sentiment_reason,
    -- The few rows that still wait for their label, found among all; the condition has to be written like this.
    ADD INDEX deferred (sentiment_status = 'deferred') TYPE minmax GRANULARITY 1;
ALTER TABLE interactions MATERIALIZE INDEX deferred SETTINGS mutations_sync = 1;
