"""The metrics of identity: those of `earshot customers`, and what a worker has to do with customers."""

from __future__ import annotations

from pipeline.monitoring.declare import counter, gauge, histogram
from pipeline.monitoring.metrics import say_version
from schemas.identity import REASONS

CAUSES = ("evidence", "import", "command", "rules", "erasure")
"""What moves a profile to another customer."""
RESULTS = ("done", "refused")
_TIMES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

# --- earshot customers ------------------------------------------------------------------------------------------------
LEADS = gauge("customers_leads", "1 while this process leads: it takes evidence and commands")
LINKED = gauge("customers_linked", "Customers of two profiles or more; on the leader")
PROFILES = gauge("customers_profiles", "Profiles that share their customer: accounts, records of a CRM; on the leader")
EDGES = gauge("identity_edges", "Edges of evidence, once for each basis; on the leader")
REFUSED = gauge("identity_refused", "Edges that link nobody, by reason: the review queue; on the leader", "reason")
MOVES = counter("identity_moves", "Profiles that moved to another customer, by cause", "cause")
COMMANDS = counter("identity_commands", "Commands of stewards, by result: done, refused", "result")
HOLDS = gauge("identity_breaker_holds", "1 while the breaker holds new evidence back; on the leader")
LAG_RECORDS = gauge("identity_lag_records", "Records of evidence that are not taken yet; on the leader")
LAG_SECONDS = gauge("identity_lag_seconds", "Age of the oldest record of evidence that is not taken yet, 0 when none waits")
TAKE_SECONDS = histogram("identity_take_seconds", "Time to take a piece of evidence, until its changes are stored", _TIMES)
LOOKUP_AGE = gauge("identity_lookup_age_seconds", "How long ago the rows landed from which claimed handles are looked for")
UNREADABLE = counter("identity_records_unreadable", "Records of topic identity that are no evidence, skipped")

# --- workers ----------------------------------------------------------------------------------------------------------
MAP_AGE = gauge("customers_map_age_seconds", "Since the worker last read the changes of customers")
MAP_LINKS = gauge("customers_map_links", "Profiles in the worker's look-up map of customers")
EVIDENCE = counter("evidence_sent", "Edges that workers sent to topic identity")
EVIDENCE_SECONDS = histogram("evidence_seconds", "From sending evidence until Kafka acknowledged it, retries included", _TIMES)


def start() -> None:
    """Gives every label of `earshot customers` that is known beforehand its first sample: 0."""
    say_version()
    for cause in CAUSES:
        MOVES.labels(cause)
    for result in RESULTS:
        COMMANDS.labels(result)
    rest()


def rest() -> None:
    """What the leader says of the customers, without samples or at 0: this process does not lead."""
    for metric in (LEADS, LINKED, PROFILES, EDGES, HOLDS, LAG_RECORDS, LAG_SECONDS, LOOKUP_AGE):
        metric.set(0)
    for reason in REASONS:
        REFUSED.labels(reason).set(0)
