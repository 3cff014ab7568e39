-- Repeatable.
-- What analysts see of a table or column in DESCRIBE TABLE, in their tools and in docs/tables.md. Files from 019 on say it where they make it.

ALTER TABLE interactions
    MODIFY COMMENT 'What people and brands did: a row an event, in its newest version. Read it with FINAL.',
    COMMENT COLUMN event_key 'The event: a hash of platform and id.',
    COMMENT COLUMN revision 'The operation that wrote the row: a hash of its content.',
    COMMENT COLUMN version 'Which row of the event is the newest: the highest counts.',
    COMMENT COLUMN is_deleted '1: the source deleted the event; FINAL leaves it out.',
    COMMENT COLUMN id 'The platform''s own id of the item. With platform it identifies the event.',
    COMMENT COLUMN platform 'Where, in small letters: twitter, trustpilot, email.',
    COMMENT COLUMN kind 'post, comment, review, message, call, order, like, measure and others.',
    COMMENT COLUMN operation 'The last operation: create, update or delete.',
    COMMENT COLUMN direction 'inbound: from others. outbound: from the brand.',
    COMMENT COLUMN created_at 'When the author made it, by the platform''s clock, UTC.',
    COMMENT COLUMN occurred_at 'When the last operation was, UTC.',
    COMMENT COLUMN text_at 'As of when text, language, visibility and rating are.',
    COMMENT COLUMN metrics_at 'As of when the metrics_ columns are.',
    COMMENT COLUMN author_at 'As of when the author_ columns are.',
    COMMENT COLUMN text 'Title and body, without markup.',
    COMMENT COLUMN language 'Language of the text as the source says, BCP 47; blank: it says none.',
    COMMENT COLUMN visibility 'public, or private: only the people it was sent to can read it.',
    COMMENT COLUMN author_id 'The platform''s id of the account.',
    COMMENT COLUMN author_handle 'The name by which others mention the account, without @.',
    COMMENT COLUMN author_name 'The displayed name.',
    COMMENT COLUMN author_kind 'What the source says the account is: person, organisation, bot, staff; blank: nothing.',
    COMMENT COLUMN author_followers 'Followers of the account; null: not known.',
    COMMENT COLUMN author_following 'Accounts that it follows; null: not known.',
    COMMENT COLUMN author_verified 'Whether the platform has verified the account; null: not known.',
    COMMENT COLUMN author_url 'The account''s page.',
    COMMENT COLUMN author_bio 'The account''s own description.',
    COMMENT COLUMN author_accounts 'Other accounts of the same person, as the source knows them: platform:id or platform:@handle.',
    COMMENT COLUMN mentions 'Handles that it mentions, without @.',
    COMMENT COLUMN hashtags 'Hashtags, without #.',
    COMMENT COLUMN urls 'Links in the text.',
    COMMENT COLUMN in_reply_to 'id of the event that this one answers, reposts or reacts to.',
    COMMENT COLUMN conversation_id 'The id that all events of a conversation share.',
    COMMENT COLUMN thread_status 'State of the support thread, in the words of its tool.',
    COMMENT COLUMN thread_team 'The team that the thread is assigned to.',
    COMMENT COLUMN thread_assignee 'Who of the team handles it.',
    COMMENT COLUMN target 'Of a like, follow or vote: the id of the post or account.',
    COMMENT COLUMN reaction 'Of a reaction: its name or emoji.',
    COMMENT COLUMN campaign 'The marketing campaign to which it belongs.',
    COMMENT COLUMN metrics_likes 'Likes, as last known; null: not known.',
    COMMENT COLUMN metrics_shares 'Shares and reposts, as last known; null: not known.',
    COMMENT COLUMN metrics_replies 'Replies, as last known; null: not known.',
    COMMENT COLUMN metrics_views 'Views, as last known; null: not known.',
    COMMENT COLUMN rating 'Of a review: the score, on the platform''s scale.',
    COMMENT COLUMN brands_given 'The brands that the source named.',
    COMMENT COLUMN brands_linked 'The brands that are in brands because of what the row links to or answers.',
    COMMENT COLUMN sentiment_neutral 'Probability.',
    COMMENT COLUMN sentiment_positive 'Probability.',
    COMMENT COLUMN location 'The place, in the words of the platform.',
    COMMENT COLUMN order_id 'Of an order: the shop''s number.',
    COMMENT COLUMN order_amount 'Of an order: its value; negative: a return.',
    COMMENT COLUMN order_currency 'Its currency, ISO 4217.',
    COMMENT COLUMN measure_name 'Of a measure: the quantity, as followers or visits.',
    COMMENT COLUMN measure_value 'Of a measure: the number.',
    COMMENT COLUMN source_name 'The program or export that delivered it.',
    COMMENT COLUMN source_version 'The version of the source.',
    COMMENT COLUMN original 'The platform''s own payload, as JSON, if the source keeps it.',
    COMMENT COLUMN topic 'Where in Kafka the operation stands: topic ...',
    COMMENT COLUMN partition '... partition ...',
    COMMENT COLUMN offset '... and offset.',
    COMMENT COLUMN ingested_at 'When this row was written.';

ALTER TABLE lost_offsets
    MODIFY COMMENT 'What Kafka lost before a worker had read it, as somebody accepted it.',
    COMMENT COLUMN topic 'Topic of Kafka.',
    COMMENT COLUMN partition 'Its partition.',
    COMMENT COLUMN reason 'What Kafka said.',
    COMMENT COLUMN accepted_at 'When it was accepted.';

ALTER TABLE alerts
    MODIFY COMMENT 'Every change of every alert; FINAL keeps them all: the highest version of an alert is how it is.',
    COMMENT COLUMN alert_key 'The alert, for earshot alerts show: in hexadecimal.',
    COMMENT COLUMN version '1, 2, 3 ... of one alert.',
    COMMENT COLUMN rule 'Of alerts.yaml.',
    COMMENT COLUMN type 'Of the rule: spike, threshold, keyword, reach, campaign, no_data.',
    COMMENT COLUMN brand 'That it is about; blank: none.',
    COMMENT COLUMN platform 'Blank: all.',
    COMMENT COLUMN language 'Blank: all.',
    COMMENT COLUMN source 'Of a no_data alert: the source that sends nothing.',
    COMMENT COLUMN severity '0 to 10.',
    COMMENT COLUMN changed_at 'When this change was made.',
    COMMENT COLUMN raised_at 'When it began to fire; null: it never did.',
    COMMENT COLUMN ended_at 'When it was resolved; null: it is open.',
    COMMENT COLUMN test 'Whether somebody sent it to try the receivers.',
    COMMENT COLUMN measure 'What the rule looks at.',
    COMMENT COLUMN observed 'The figure.',
    COMMENT COLUMN expected 'What was usual; null: the rule knows none.',
    COMMENT COLUMN lower 'Below it is unusual; null: there is no such bound.',
    COMMENT COLUMN upper 'Above it is unusual; null: there is no such bound.',
    COMMENT COLUMN summary 'The alert in one line.',
    COMMENT COLUMN terms 'Words that set its posts apart from the week before, the most significant first.',
    COMMENT COLUMN negative 'Its mentions labelled so.',
    COMMENT COLUMN neutral 'Its mentions labelled so.',
    COMMENT COLUMN positive 'Its mentions labelled so.',
    COMMENT COLUMN query 'SQL that shows its events.',
    COMMENT COLUMN actor 'Who acknowledged it: the name of a token.',
    COMMENT COLUMN comment 'What they said.',
    COMMENT COLUMN muted 'Why nobody is notified: a silence, or another alert; blank: receivers are notified.',
    COMMENT COLUMN unmuted_at 'When the last mute that ended did so; null: none has.';

ALTER TABLE alert_events
    MODIFY COMMENT 'Which events a rule for single events has seen, so that a replay raises nothing twice.',
    COMMENT COLUMN rule 'Of alerts.yaml.',
    COMMENT COLUMN brand 'That the event is about.',
    COMMENT COLUMN event_key 'The event.',
    COMMENT COLUMN alert_key 'The alert that it belongs to.',
    COMMENT COLUMN created_at 'When the event was created.';

ALTER TABLE alert_silences
    MODIFY COMMENT 'Which alerts nobody is told about, until when.',
    COMMENT COLUMN silence_id 'The silence.',
    COMMENT COLUMN version 'The highest counts.',
    COMMENT COLUMN brand 'Blank: every brand.',
    COMMENT COLUMN platform 'Blank: every platform.',
    COMMENT COLUMN starts_at 'From then on.',
    COMMENT COLUMN ends_at 'Until then; of a silence that was lifted: when it was lifted.',
    COMMENT COLUMN actor 'Who made it: the name of a token.',
    COMMENT COLUMN comment 'What they said.',
    COMMENT COLUMN changed_at 'When it was made or changed.';

ALTER TABLE alert_deliveries
    MODIFY COMMENT 'Each try to tell a receiver about a change of an alert.',
    COMMENT COLUMN alert_key 'The alert.',
    COMMENT COLUMN version 'Of the alert: the change that was told.',
    COMMENT COLUMN receiver 'Of alerts.yaml.',
    COMMENT COLUMN attempt '1, 2, 3 ...',
    COMMENT COLUMN sent 'Whether the receiver took it; if not, it is tried again.',
    COMMENT COLUMN took_ms 'How long it took, in milliseconds.',
    COMMENT COLUMN tried_at 'When.';

ALTER TABLE alert_watermarks
    MODIFY COMMENT 'How far the windows of the rules were looked at.',
    COMMENT COLUMN name 'Of the mark.',
    COMMENT COLUMN at 'Until then, by the time of the events.',
    COMMENT COLUMN changed_at 'When the mark was moved.';

ALTER TABLE source_gaps
    MODIFY COMMENT 'What a platform could not give any more: these posts are missing.',
    COMMENT COLUMN source 'Of sources.yaml.',
    COMMENT COLUMN platform 'Its platform.',
    COMMENT COLUMN until 'When the gap ends; null: not known.',
    COMMENT COLUMN reason 'Why.',
    COMMENT COLUMN found_at 'When it was found.';

ALTER TABLE source_health
    MODIFY COMMENT 'How each source of sources.yaml is, as its listener last said.',
    COMMENT COLUMN source 'Of sources.yaml.',
    COMMENT COLUMN platform 'Its platform.',
    COMMENT COLUMN reason 'Why it is in this state.',
    COMMENT COLUMN errors 'Of this listener, with the source.',
    COMMENT COLUMN written_at 'When it was said.';

ALTER TABLE account_events
    MODIFY COMMENT 'What an account did, by time: the way to its rows in interactions.',
    COMMENT COLUMN account_key 'The account.',
    COMMENT COLUMN created_at 'When the event was created.',
    COMMENT COLUMN event_key 'The event. One that was deleted may still have a row here.',
    COMMENT COLUMN version 'The highest counts.',
    COMMENT COLUMN is_deleted '1: the row counts no longer.';

ALTER TABLE assignments
    MODIFY COMMENT 'The customer of each account that shares its customer with another one. Accounts that are not here are customers of their own.',
    COMMENT COLUMN profile 'account_key of the account.',
    COMMENT COLUMN customer 'The key of its customer: that of one of the customer''s accounts.',
    COMMENT COLUMN is_deleted '1: it has no other any more.';

ALTER TABLE assignment_changes
    MODIFY COMMENT 'Every move of an account from one customer to another.',
    COMMENT COLUMN sequence 'In this order: the term of the leader * 2^40, then a counter.',
    COMMENT COLUMN profile 'account_key of the account.',
    COMMENT COLUMN before 'Its customer before.',
    COMMENT COLUMN changed_at 'When.';

ALTER TABLE identity_queue
    MODIFY COMMENT 'The review queue: what links nobody, and why.',
    COMMENT COLUMN edge 'What would link two accounts.',
    COMMENT COLUMN reason 'Why it does not.',
    COMMENT COLUMN sequence 'Of the change that made it.',
    COMMENT COLUMN is_deleted '1: it stands there no longer.',
    COMMENT COLUMN changed_at 'When.';

ALTER TABLE interactions_now
    MODIFY COMMENT 'The rows of interactions with the customer of today.',
    COMMENT COLUMN account_key 'account_key of the author; 0: no author.',
    COMMENT COLUMN customer_now 'The customer of today: the key of one of the customer''s accounts; an account without others is its own.';

ALTER TABLE assignments_as_of
    MODIFY COMMENT 'The customer of each account that was ever linked, as known at a time: assignments_as_of(at = ''2026-01-01 00:00:00'').';

ALTER TABLE accounts MODIFY COMMENT 'What each account is to a brand, of all its rows: profile, counts, mood, role and motive with their evidence. Ask account_quarters for a time of your own.';

ALTER TABLE quarters MODIFY COMMENT 'Mentions of brands by quarter-hour, platform and language, as counts. Read it with FINAL, and add up.';

ALTER TABLE rollup_marks MODIFY COMMENT 'How far each of the tables that control computes is filled.';
