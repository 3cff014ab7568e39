"""The Grafana board, made from pipeline/monitoring/metrics.py: `make board` writes deploy/grafana/boards/earshot.json.

Rows are in the order in which an on-call person looks: is it up, does it flow, how late, how far behind, sentiment, alerts,
customers, sources, the console, errors, where the time goes, ClickHouse, memory. Built with Grafana's own foundation SDK, whose
types are Grafana's schema.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)

from pipeline.monitoring import console_metrics, erasing_metrics, identity_metrics, metrics, source_metrics
from pipeline.monitoring.declare import Metric

FILE = Path(__file__).parent / "boards" / "earshot.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_SUFFIX = {"counter": "_total", "info": "_info"}
RSS, CPU = "process_resident_memory_bytes", "process_cpu_seconds_total"
WORKERS, CONTROL, LISTENERS = 'job="earshot", instance=~"$instance"', 'job="earshot-control"', 'job="earshot-listen"'
CUSTOMERS, CONSOLE = 'job="earshot-customers"', 'job="earshot-console"'


def series(metric: Metric) -> str:
    """The metric's name in Prometheus."""
    (family,) = metric.describe()
    return f"{family.name}{_SUFFIX.get(family.type, '')}"


def of(name: Metric | str, labels: str = "") -> str:
    """The metric of the chosen workers."""
    label = f", {labels}" if labels else ""
    return f"{name if isinstance(name, str) else series(name)}{{{WORKERS}{label}}}"


def control(expression: str) -> str:
    """The same expression for `earshot control`, whichever workers are chosen."""
    return expression.replace(WORKERS, CONTROL)


def customers(expression: str) -> str:
    """The same expression for `earshot customers`."""
    return expression.replace(WORKERS, CUSTOMERS)


def listen(expression: str) -> str:
    """The same expression for `earshot listen`."""
    return expression.replace(WORKERS, LISTENERS)


def console(expression: str) -> str:
    """The same expression for `earshot console`."""
    return expression.replace(WORKERS, CONSOLE)


def sources(expression: str) -> str:
    """The same for the ten sources with the greatest values."""
    return listen(f"topk(10, {expression})")


def by_source(metric: Metric, labels: str = "") -> str:
    """A gauge of each source, whichever listener runs it."""
    return f"max by (source) ({of(metric, labels)})"


def rate(metric: Metric | str, by: str = "", labels: str = "") -> str:
    return f"sum{f' by ({by}) ' if by else ''}(rate({of(metric, labels)}[$__rate_interval]))"


def quantile(share: float, metric: Metric, by: str = "") -> str:
    groups = f"{by}, le" if by else "le"
    name = f"{series(metric)}_bucket"
    return f"histogram_quantile({share}, sum by ({groups}) (rate({of(name)}[$__rate_interval])))"


def mean(metric: Metric, by: str = "") -> str:
    return f"{rate(f'{series(metric)}_sum', by)} / {rate(f'{series(metric)}_count', by)}"


def graph(title: str, unit: str, meaning: str, **queries: str) -> TimeSeries:
    """Lines over time. A query's name is its legend, with spaces for `_`; `__` precedes a label, whose value is shown."""
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
    panel = TimeSeries().title(title).description(meaning).unit(unit).min(0).datasource(SOURCE).legend(legend)
    panel = panel.fill_opacity(8).line_width(1).height(8).span(12)
    for place, (name, expression) in enumerate(queries.items()):
        panel = panel.with_target(_query(expression, _legend(name), place))
    return panel


def figure(title: str, unit: str, meaning: str, expression: str, red_below: float | None = None) -> Stat:
    """One number: green, or red below `red_below`."""
    steps = [Threshold(value=None, color="green")]
    if red_below is not None:
        steps = [Threshold(value=None, color="red"), Threshold(value=red_below, color="green")]
    thresholds = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    panel = Stat().title(title).description(meaning).unit(unit).datasource(SOURCE).thresholds(thresholds)
    panel = panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"])).height(4).span(4)
    return panel.with_target(_query(expression, "", 0))


def _query(expression: str, legend: str, place: int) -> Dataquery:
    query = Dataquery().expr(expression).ref_id(chr(ord("A") + place)).range().datasource(SOURCE)
    return query.legend_format(legend)


def _legend(name: str) -> str:
    *words, last = name.split("__")
    words = [word.replace("_", " ") for word in words]
    return " ".join([*words, f"{{{{{last}}}}}"]) if words else name.replace("_", " ")


def board() -> Dashboard:
    source = DatasourceVariable("source").label("Data source").type("prometheus")
    every = VariableOption(selected=True, text="All", value="$__all")
    instance = (
        QueryVariable("instance").label("Worker").datasource(SOURCE).multi(True).include_all(True).all_value(".*")
        .query(f'label_values({series(metrics.READY)}{{job="earshot"}}, instance)').current(every)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )  # fmt: skip
    made = (
        Dashboard("Earshot").uid("earshot").tags(["earshot"]).timezone("browser").time("now-1h", "now").refresh("15s")
        .tooltip(DashboardCursorSync.CROSSHAIR).readonly()
        .description("Workers, control, customers, listeners and consoles of Earshot. Runbook for each alert: docs/sre.md.")
        .with_variable(source).with_variable(instance)
    )  # fmt: skip
    for title, panels in ROWS.items():
        made = made.with_row(Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


M, S, C, W, E = metrics, source_metrics, identity_metrics, console_metrics, erasing_metrics
ROWS: dict[str, list[TimeSeries | Stat]] = {
    "Is it up": [
        figure("Workers ready", "short", "Workers whose /ready says so", f"sum({of(M.READY)})", red_below=1),
        figure("Workers live", "short", "Workers whose /live says so", f"sum({of(M.LIVE)})", red_below=1),
        figure(
            "Partitions owned", "percentunit", "Share of the topic's partitions; below 100 % nobody reads some of them",
            f"sum({of(M.PARTITIONS)}) / max({of(M.TOPIC_PARTITIONS)})", red_below=1,
        ),
        figure("Landed", "cps", "Rows a second", rate(M.LANDED)),
        figure("Behind", "s", "Lag of the worst partition", f"max({of(M.LAG_SECONDS)})"),
        figure("Latency p99", "s", "From the record's timestamp in Kafka until it landed", quantile(0.99, M.KAFKA_LATENCY)),
        graph("Not ready because of", "short", "Workers by cause; held: Kafka has lost the next record",
              by__cause=f"sum by (cause) ({of(M.UNREADY)})"),
        graph("Partitions", "short", "By state: reading, seeding, held", by__state=f"sum by (state) ({of(M.PARTITIONS)})",
              in_the_topic=f"max({of(M.TOPIC_PARTITIONS)})"),
        graph("Uptime", "s", "Since the process started; a sawtooth is a crash loop",
              of__instance=f"time() - {of('process_start_time_seconds')}",
              control__instance=control(f"time() - {of('process_start_time_seconds')}"),
              customers__instance=customers(f"time() - {of('process_start_time_seconds')}"),
              listener__instance=listen(f"time() - {of('process_start_time_seconds')}"),
              console__instance=console(f"time() - {of('process_start_time_seconds')}")),
        graph("Version", "short", "Processes by version",
              workers__version=f"count by (version) ({of(M.BUILD)})",
              controls__version=control(f"count by (version) ({of(M.BUILD)})"),
              customers__version=customers(f"count by (version) ({of(M.BUILD)})"),
              listeners__version=listen(f"count by (version) ({of(M.BUILD)})"),
              consoles__version=console(f"count by (version) ({of(M.BUILD)})")),
    ],
    "Does it flow": [
        graph("Records", "cps", "read = landed + dropped + waiting + dead letters, after a short delay",
              read=rate(M.READ), landed=rate(M.LANDED), waiting=rate(M.WAITED)),
        graph("Dropped", "cps", "Left out on purpose, by reason", because__reason=rate(M.DROPPED, "reason")),
        graph("Batch size", "short", "Records: few when idle, worker.batch_rows (16,000) when behind",
              p50=quantile(0.5, M.BATCH_ROWS), p99=quantile(0.99, M.BATCH_ROWS)),
        graph("Batches in flight", "short", "At most six a worker (four if large); then reading waits for landing",
              worker__instance=of(M.IN_FLIGHT)),
    ],
    "How late": [
        graph("From Kafka to landed", "s", "From the record's timestamp in Kafka until it landed",
              p50=quantile(0.5, M.KAFKA_LATENCY), p99=quantile(0.99, M.KAFKA_LATENCY)),
        graph("From the event to landed", "s", "From created_at: includes the delay of sources that send late or again",
              p50=quantile(0.5, M.EVENT_LATENCY), p99=quantile(0.99, M.EVENT_LATENCY)),
    ],
    "How far behind": [
        graph("Behind in seconds", "s", "Every record older than this has landed",
              worker__instance=f"max by (instance) ({of(M.LAG_SECONDS)})"),
        graph("Behind in records", "short", "From the last landed record to the end",
              worker__instance=f"sum by (instance) ({of(M.LAG_RECORDS)})"),
        graph("The five partitions furthest behind", "s", "Only one behind: a hot key, or a held partition",
              partition__partition=f"topk(5, max by (partition) ({of(M.LAG_SECONDS)}))"),
        graph("Commit age", "s", "How long a landed batch has waited for its commit", worker__instance=of(M.COMMIT_AGE)),
    ],
    "Sentiment": [
        graph("Labels", "cps", "Rows that landed with a label, or got it later", label__label=rate(M.LABELLED, "label")),
        graph("Without a label", "cps", "Rows that can't be labelled, by reason", because__reason=rate(M.UNKNOWN, "reason")),
        graph("Rows that wait for their label", "short", "Rows that landed without a label; labelled in quiet moments",
              worker__instance=of(M.DEFERRED_NOW), landed_without_one=f"sum(increase({of(M.DEFERRED)}[$__rate_interval]))"),
        graph("The longest wait for a label", "s", "0 when no row waits", worker__instance=of(M.DEFERRED_AGE)),
        graph("Model time for landed rows", "percentunit", "Of one core; for batches see Steps, busy",
              worker__instance=rate(M.DEFERRED_SECONDS, "instance")),
        graph("Texts for the model", "cps", "Cache hit or miss", cache__cache=rate(M.CACHED, "cache")),
    ],
    "Alerts": [
        graph("Control", "short", "1 when /ready says so, for the leader and standbys; otherwise the cause",
              ready__instance=control(of(M.READY)), because__cause=control(f"sum by (cause) ({of(M.UNREADY)})")),
        graph("Open alerts", "short", "By state, of the leader",
              state__state=control(f"sum by (state) ({of(M.ALERTS_OPEN)})")),
        graph("Changes of alerts", "cps", "By new state", to__state=control(rate(M.ALERT_CHANGES, "state"))),
        graph("From Kafka to a receiver", "s", "By path: single events, windows. Includes waits for group.interval",
              p50__path=control(quantile(0.5, M.ALERT_SECONDS, "path")),
              p99__path=control(quantile(0.99, M.ALERT_SECONDS, "path"))),
        graph("Messages to receivers", "cps", "failed: no answer, or a temporary error; refused: a permanent one",
              **{f"{result}__receiver": control(rate(M.ALERT_DELIVERIES, "receiver", f'result="{result}"'))
                 for result in ("sent", "failed", "refused")}),
        graph("Evaluation", "s", "Reads touched minutes and evaluates all windows, once a second at most",
              p50=control(quantile(0.5, M.EVALUATION_SECONDS)), p99=control(quantile(0.99, M.EVALUATION_SECONDS))),
        graph("Watermark behind the clock", "s", "Age of the time at which windows are evaluated",
              control__instance=control(of(M.WATERMARK_AGE))),
        graph("Search for campaigns", "s", "Oldest minute whose search has not ended; time of a search; minutes/s left out",
              waits__instance=control(of(M.CAMPAIGN_WAIT)), search_p99=control(quantile(0.99, M.CAMPAIGN_SECONDS)),
              left_out__instance=control(rate(M.CAMPAIGN_LEFT_OUT, "instance"))),
        graph("Scopes", "short", "Brands, and brands by platform or language; left out per second: too many",
              counted__instance=control(of(M.ALERT_SCOPES)),
              left_out__instance=control(rate(M.ALERT_SCOPES_LEFT_OUT, "instance"))),
        graph("Events that wait for their rule", "short", "Control's alerts.yaml lacks it; dropped per second: after a day",
              waiting__instance=control(of(M.ALERT_CANDIDATES_WAITING)),
              dropped__instance=control(rate(M.ALERT_CANDIDATES_DROPPED, "instance"))),
        graph("Names that no_data ignores", "short", "Per second, counted each minute: too many for rules without names",
              left_out__instance=control(rate(M.NO_DATA_LEFT_OUT, "instance"))),
        graph("Late windows, failed", "cps", "Backtests of days with late windows that failed; each is retried later",
              failed__instance=control(rate(M.LATE_DAYS_FAILED, "instance"))),
        graph("Rows reconciled", "cps", "Rows moved to the row of their event; runs that failed: each is retried later",
              rows__instance=control(rate(M.RECONCILED_ROWS, "instance")),
              failed__instance=control(rate(M.RECONCILE_FAILED, "instance"))),
        graph("Reconciled up to", "s", "How long ago the rows landed from which control reconciles on",
              control__instance=control(of(M.RECONCILE_AGE))),
        graph("Erasures", "short", "Of which something is still to be hidden, or to be removed from the files",
              to__to=control(f"max by (to) ({of(E.OPEN)})")),
        graph("Erasures, oldest", "s", "How long ago the oldest was asked for that is still in the files",
              control__instance=control(of(E.AGE))),
        graph("Erasures, work", "cps", "Rows that came all the same, and were hidden; tries that failed: each is repeated",
              caught__instance=control(rate(E.CAUGHT, "instance")),
              failed__instance=control(rate(E.FAILED, "instance"))),
        graph("Rollups behind", "s", "Age of the oldest change that they lack, of the running quarter-hour and of older ones",
              quarter__quarter=control(f"max by (quarter) ({of(M.ROLLUP_LAG)})")),
        graph("Rollups, work", "s", "Time of the statements a second, on one core; those that failed: each is retried",
              share__rollup=control(f"sum by (rollup) (rate({M.ROLLUP_SECONDS._name}_sum[5m]))"),
              failed__rollup=control(rate(M.ROLLUPS_FAILED, "rollup"))),
        graph("Conversations left out", "cps", "Too long for table threads, each time that their quarter-hour was made anew",
              left_out__instance=control(rate(M.ROLLUPS_LEFT_OUT, "instance"))),
        graph("Days of history for spikes", "d", "28, or less if the history is too large",
              control__instance=control(of(M.ALERT_HISTORY_DAYS))),
        graph("Unreadable signals", "cps", "Invalid records in topic signals, skipped",
              control__instance=control(rate(M.SIGNALS_UNREADABLE, "instance"))),
        graph("Signals", "cps", "Records to the evaluator: touched minutes and single-event matches",
              of__instance=rate(M.SIGNALS, "instance")),
        graph("Signals, publishing", "s", "Until Kafka has acknowledged the record, retries included",
              p50=quantile(0.5, M.SIGNAL_SECONDS), p99=quantile(0.99, M.SIGNAL_SECONDS)),
        graph("Candidates", "cps", "Events that match a single-event rule, by its type",
              rule__rule_type=rate(M.CANDIDATES, "rule_type")),
        graph("Read again before their commit", "cps", "After a kill: rules evaluate them again", rows=rate(M.REPLAYED)),
        graph("Rules out of date", "short", "1: alerts.yaml is broken or missing, the version before is active",
              worker__instance=of(M.RULES_STALE), control__instance=control(of(M.RULES_STALE))),
        graph("Changes of alerts.yaml", "short", "By result", workers__result=rate(M.RULES_RELOADS, "result"),
              control__result=control(rate(M.RULES_RELOADS, "result"))),
    ],
    "Customers": [
        graph("Customers, the process", "short", "1 when /ready says so, and 1 when it leads; otherwise the cause",
              ready__instance=customers(of(M.READY)), leads__instance=customers(of(C.LEADS)),
              because__cause=customers(f"sum by (cause) ({of(M.UNREADY)})")),
        graph("Linked customers", "short", "Customers of several profiles, and their profiles: accounts, records of a CRM",
              customers=customers(f"max({of(C.LINKED)})"), profiles=customers(f"max({of(C.PROFILES)})")),
        graph("Profiles that move", "cps", "To another customer, by cause", by__cause=customers(rate(C.MOVES, "cause"))),
        graph("Edges of evidence", "short", "Once for each basis", edges=customers(f"max({of(C.EDGES)})")),
        graph("Review queue", "short", "Edges that link nobody, by reason; `earshot identity review` lists them",
              because__reason=customers(f"max by (reason) ({of(C.REFUSED)}) > 0")),
        graph("Breaker", "short", "1: new evidence is held until `earshot identity release`",
              holds=customers(f"max({of(C.HOLDS)})")),
        graph("Commands of stewards", "cps", "By result", result__result=customers(rate(C.COMMANDS, "result"))),
        graph("Evidence that waits", "short", "Records of topic identity that are not taken yet",
              records=customers(f"max({of(C.LAG_RECORDS)})")),
        graph("Evidence, behind", "s", "Age of the oldest record that is not taken yet",
              behind=customers(f"max({of(C.LAG_SECONDS)})")),
        graph("Taking evidence", "s", "A piece, until its changes are stored",
              p50=customers(quantile(0.5, C.TAKE_SECONDS)), p99=customers(quantile(0.99, C.TAKE_SECONDS))),
        graph("Claimed handles, looked for up to", "s", "How long ago the rows landed that were searched last",
              customers__instance=customers(of(C.LOOKUP_AGE))),
        graph("Unreadable evidence", "cps", "Records of topic identity that are none, skipped",
              customers__instance=customers(rate(C.UNREADABLE, "instance"))),
        graph("Evidence sent", "cps", "Edges, by workers", worker__instance=rate(C.EVIDENCE, "instance")),
        graph("Evidence, publishing", "s", "Until Kafka has acknowledged the record, retries included",
              p50=quantile(0.5, C.EVIDENCE_SECONDS), p99=quantile(0.99, C.EVIDENCE_SECONDS)),
        graph("Look-up map of workers, age", "s", "Since a worker last read the changes of customers, twice a second",
              worker__instance=of(C.MAP_AGE)),
        graph("Look-up map of workers", "short", "Profiles in it", worker__instance=of(C.MAP_LINKS)),
    ],
    "Sources": [
        graph("Listeners", "short", "1 when /ready says so; otherwise the cause",
              ready__instance=listen(of(M.READY)), because__cause=listen(f"sum by (cause) ({of(M.UNREADY)})")),
        graph("Sources by state", "short", "Of those that a listener runs: a paused one is not among them",
              state__state=listen(f"sum by (state) ({of(S.STATE)})")),
        graph("Sources that don't run", "short", "1: it waits, fails, or has no credentials; `earshot source list` says why",
              **{f"{state.replace(' ', '_')}__source": listen(f"{by_source(S.STATE, label)} > 0")
                 for state in ("waiting", "failing", "no credentials") for label in [f'state="{state}"']}),
        graph("Last contact", "s", "Since the platform last answered; overdue: since a poll or frames of a stream were due",
              contact__source=sources(f"time() - {by_source(S.CONTACT)}"),
              overdue__source=sources(f"clamp_min(time() - {by_source(S.DUE)}, 0)")),
        graph("Newest event", "s", "Since its creation", event__source=sources(f"time() - {by_source(S.EVENT)}")),
        graph("From the event to Kafka", "s", "Of the newest event: the period of a poll, or a platform that is late",
              lag__source=sources(by_source(S.LAG))),
        graph("Events sent", "cps", "The ten sources with the most", of__source=sources(rate(S.EVENTS, "source"))),
        graph("Events sent, by operation", "cps", "Create, update, delete",
              operation__operation=listen(rate(S.EVENTS, "operation"))),
        graph("Requests", "cps", "By result; limited: the platform asks to wait; refused: it refuses the credential",
              result__result=listen(rate(S.REQUESTS, "result"))),
        graph("Requests left", "short", "In the platform's window, where it says so",
              left__source=listen(f"bottomk(10, min by (source) ({of(S.BUDGET)}))")),
        graph("Cost of sources this month", "short", "In the platform's currency, of platforms that bill what they deliver; \
left: of key spend; pace: what the month will cost",
              cost__source=sources(by_source(S.COST)), left__source=sources(by_source(S.COST_LEFT)),
              pace__source=sources(by_source(S.COST_PACE))),
        graph("Errors of sources", "cps", "Times that a source failed, waited or had no credentials",
              of__source=sources(rate(S.ERRORS, "source"))),
        graph("Not sent", "cps", "No brand: keep is mentions. Left out: parts without a mapping. Unreadable: of unknown shape",
              no_brand__source=sources(rate(S.NOT_KEPT, "source")), left_out__source=sources(rate(S.LEFT_OUT, "source")),
              unreadable__source=sources(rate(S.UNREADABLE, "source")), too_large__source=sources(rate(S.REFUSED, "source"))),
        graph("Gaps", "short", "Found since the listeners started; table source_gaps has them",
              of__source=sources(f"sum by (source) ({of(S.GAPS)})")),
        graph("Newest gap", "s", "Since it was found", of__source=listen(f"time() - {by_source(S.GAP)}")),
        graph("Sources out of date", "short", "1: sources.yaml is broken or missing, the version before is active",
              listener__instance=listen(of(S.RELOADS.stale))),
        graph("Changes of sources.yaml", "short", "By result", result__result=listen(rate(S.RELOADS.changes, "result"))),
    ],
    "Console": [
        graph("Console, the process", "short", "1 when /ready says so; otherwise the cause",
              ready__instance=console(of(M.READY)), because__cause=console(f"sum by (cause) ({of(M.UNREADY)})")),
        graph("Answers", "cps", "Of pages and acts, by class of their status",
              status__status=console(rate(W.ANSWERS, "status"))),
        graph("Pages, time to answer", "s", "From the head of a request until its answer begins",
              p50=console(quantile(0.5, W.SECONDS)), p95=console(quantile(0.95, W.SECONDS))),
        graph("Logins", "cps", "By result; slowed: after ten failures of a name or an address",
              result__result=console(rate(W.LOGIN, "result"))),
    ],
    "Errors": [
        graph("Dead letters", "cps", "By class of reason; `earshot dlq list` has the texts",
              because__reason=rate(M.REJECTED, "reason"), offsets_that_cannot_be_read=rate(M.UNREADABLE)),
        graph("Dead letters, share of records read", "percentunit", "Alerts fire at 1 % and 20 %",
              share=f"{rate(M.REJECTED)} / {rate(M.READ)}"),
        graph("Refused records", "cps", "Too large or invalid for their topic: a dead letter is cut, a signal left out",
              to__topic=rate(M.RECORDS_REFUSED, "topic"), control__missed=control(rate(M.ALERTS_MISSED))),
        graph("Replaced producers", "cps", "After a fatal error of Kafka's client",
              of__topic=rate(M.PRODUCERS_RENEWED, "topic"), control__topic=control(rate(M.PRODUCERS_RENEWED, "topic"))),
        graph("Retried requests to ClickHouse", "cps", "By kind", of__request=rate(M.RETRIES, "request")),
        graph("Waiting changes", "short", "In memory up to worker.waiting_changes, further ones in their table",
              kept__kept=f"sum by (kept) ({of(M.WAITING)})"),
        graph("Brands out of date", "short", "1: brands.yaml is broken or missing, the version before is active",
              worker__instance=of(M.BRANDS_STALE), control__instance=control(of(M.BRANDS_STALE)),
              listener__instance=listen(of(M.BRANDS_STALE))),
        graph("Roles out of date", "short", "1: roles.yaml is broken or missing, the version before is active",
              control__instance=control(of(M.ROLES_STALE))),
        graph("Changes of roles.yaml", "short", "By result", control__result=control(rate(M.ROLES_RELOADS, "result"))),
        graph("Changes of brands.yaml", "short", "By result", result__result=rate(M.BRANDS_RELOADS, "result")),
        graph("Notes", "cps", "Fields that the schema lacks; creates of known events, and those under another created_at",
              note__note=rate(M.NOTES, "note")),
    ],
    "Where the time goes": [
        graph("Steps", "s", "Mean time of a step for a batch", step__step=mean(M.STEP_SECONDS, "step")),
        graph("Steps, busy", "percentunit", "Share of the wall time: a step near 100 % is the bottleneck",
              step__step=rate(f"{series(M.STEP_SECONDS)}_sum", "step")),
        graph("Steps, CPU", "percentunit", "Of one core, on the step's own thread: below Steps, busy it waits",
              step__step=rate(M.STEP_CPU_SECONDS, "step")),
        graph("Step waits", "s", "Mean time a batch waits before a step", step__step=mean(M.STEP_WAIT_SECONDS, "step")),
        graph("CPU", "percentunit", "Of one core", worker__instance=rate(CPU, "instance"),
              control__instance=control(rate(CPU, "instance")), customers__instance=customers(rate(CPU, "instance")),
              listener__instance=listen(rate(CPU, "instance")), console__instance=console(rate(CPU, "instance"))),
    ],
    "ClickHouse": [
        graph("Inserts", "s", "p99 by table, retries included", p99__table=quantile(0.99, M.INSERT_SECONDS, "table")),
        graph("Rows inserted", "cps", "By table", into__table=rate(M.INSERT_ROWS, "table")),
        graph("Parts of the fullest partition", "short", "ClickHouse slows inserts from 1,000 and refuses them from 3,000",
              table__table=f"max by (table) ({of(M.PARTITION_PARTS)})"),
        graph("Parts", "short", "Active, all partitions", table__table=f"max by (table) ({of(M.TABLE_PARTS)})"),
        graph("Rows stored", "short", "Including versions that are not merged yet",
              table__table=f"max by (table) ({of(M.TABLE_ROWS)})"),
        graph("Bytes on disk", "bytes", "Compressed", table__table=f"max by (table) ({of(M.TABLE_BYTES)})"),
        graph("Seeding", "s", "Mean time to read the known revisions of new partitions", mean=mean(M.SEED_SECONDS)),
        graph("Revisions seeded", "cps", "Read from ClickHouse on assignment", rate=rate(M.SEEDED)),
    ],
    "Memory": [
        graph("Resident", "bytes", "Resident memory, and the limit of the process",
              worker__instance=of(RSS), limit__instance=of(M.MEMORY_LIMIT), control__instance=control(of(RSS)),
              customers__instance=customers(of(RSS)), listener__instance=listen(of(RSS)),
              console__instance=console(of(RSS))),
        graph("Known revisions", "bytes", "13 bytes each; up to 24 hours or 20 million", worker__instance=of(M.DEDUP_BYTES)),
        graph("Known dropped events", "bytes", "With keep_irrelevant = false, the same bounds",
              worker__instance=of(M.DROPPED_BYTES)),
    ],
}  # fmt: skip


def queries() -> dict[str, list[str]]:
    """The expressions of each panel, by its title."""
    made = json.loads(text())
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in made["panels"] if "targets" in panel}


def text() -> str:
    return JSONEncoder(sort_keys=True, indent=2).encode(board().build()) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
