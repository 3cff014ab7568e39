-- When an alert's last mute ended, and when nobody had acknowledged it for as long as its rule says.
ALTER TABLE alerts
    ADD COLUMN unmuted_at Nullable(DateTime64(3, 'UTC')),
    ADD COLUMN escalated_at Nullable(DateTime64(3, 'UTC')) COMMENT 'its other receivers were notified then';
