"""The embedded ClickHouse's HTTP interface, as clients see it."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack

TABLE = "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"


@pytest.fixture
def settings(bare: Settings) -> Settings:
    return bare  # no test here needs Earshot's tables


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        client.command(TABLE)
        yield client


def credentials(settings: Settings) -> dict[str, str]:
    return {"X-ClickHouse-User": "default", "X-ClickHouse-Key": settings.clickhouse.password.get_secret_value()}


def post(
    settings: Settings, body: bytes | None, headers: dict[str, str] | None = None, **values: str
) -> tuple[int, bytes, Any]:
    """A POST, or without a body a GET, as user default unless the headers say who asks."""
    url = f"{settings.clickhouse.url}/?{urlencode({'database': settings.clickhouse.database, **values})}"
    request = Request(url, body, {"Content-Type": "application/octet-stream", **credentials(settings), **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def count(client: Client) -> int:
    return int(client.query("SELECT count() FROM t").result_rows[0][0])


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_rows_come_back_as_they_went_in(settings: Settings, client: Client, compress: bool | str) -> None:
    asked = settings.clickhouse
    with clickhouse_connect.get_client(
        dsn=asked.url, password=asked.password.get_secret_value(), database=asked.database, compress=compress
    ) as other:
        rows = pa.table({"a": pa.array(range(5000), pa.uint64()), "b": [f"text {n} ü\t\n'" for n in range(5000)]})
        other.insert_arrow("t", rows)
        back = other.query_arrow("SELECT a, b FROM t ORDER BY a", use_strings=True)
        assert back.to_pydict() == rows.to_pydict()
        other.insert("t", [[7000, "native"]], column_names=["a", "b"])
        assert other.query("SELECT b FROM t WHERE a = 7000").result_rows == [("native",)]


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "gzip"])
def test_raw_inserts_take_any_compression(client: Client, compression: str | None) -> None:
    import backports.zstd
    import lz4.frame  # type: ignore[import-untyped]  # lz4 ships none

    pack = {None: bytes, "gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": backports.zstd.compress}[compression]
    client.raw_insert("t", ["a", "b"], pack(b'{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n'), fmt="JSONEachRow", compression=compression)
    assert count(client) == 2, "those without a token were not taken for those with one"


def test_inserts_of_every_form(settings: Settings, client: Client) -> None:
    binary = b"\x09" + bytes(7) + b"\x03\x00;\xff"  # RowBinary: a = 9, b = three bytes that are no text
    assert post(settings, binary, query="INSERT INTO t FORMAT RowBinary")[0] == 200
    assert post(settings, b"INSERT INTO t (a, b) FORMAT RowBinary\n" + b"\x0a" + binary[1:])[0] == 200
    assert post(settings, b"INSERT INTO t /* FORMAT */ (`a`, b) SETTINGS max_threads = 1 FORMAT TSV\r\n1\tone\n")[0] == 200
    assert post(settings, b"INSERT INTO t VALUES (2, 'it''s; FORMAT x'), (1 + 2, concat('a', 'b'))")[0] == 200
    assert post(settings, b"(4, 'four')", query="INSERT INTO t VALUES")[0] == 200
    assert post(settings, b"INSERT INTO t SELECT number, 'n' FROM numbers(2)")[0] == 200
    client.command("INSERT INTO t VALUES ({a:UInt64}, {b:String})", parameters={"a": 5, "b": "tab\tquote'back\\slash"})
    assert client.query("SELECT hex(b) FROM t WHERE a IN (9, 10)").result_rows == [("003BFF",)] * 2
    assert client.query("SELECT b FROM t WHERE a = 5").result_rows == [("tab\tquote'back\\slash",)]
    assert count(client) == 9


def test_parameters_reach_the_query(client: Client) -> None:
    values = {"s": "a\tb'c\\", "l": ["x'", "y"], "n": None, "i": -5, "t": "t"}
    query = "SELECT {s:String}, {l:Array(String)}, {n:Nullable(String)}, {i:Int64}, (SELECT count() FROM {t:Identifier})"
    assert client.query(query, parameters=values).result_rows == [("a\tb'c\\", ["x'", "y"], None, -5, 0)]


def test_a_token_is_written_once(client: Client) -> None:
    rows = pa.table({"a": pa.array([1, 2], pa.uint64()), "b": ["x", "y"]})
    for _ in range(3):
        client.insert_arrow("t", rows, settings={"insert_deduplication_token": "one"})
    client.insert_arrow("t", rows, settings={"insert_deduplication_token": "two"})
    assert count(client) == 4


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"SELECT * FROM missing", 60, 404),
        (b"SELECT nope", 47, 404),
        (b"SELEC 1", 62, 400),
        (b"SELECT 1; SELECT 2", 62, 400),
        (b"SELECT {x:UInt8}", 456, 400),
        (b"INSERT INTO missing FORMAT TSV\n1\tx\n", 60, 404),
        (b"INSERT INTO t FORMAT TSV\nnone\tx\n", 27, 400),
        (b"INSERT INTO t (a, c) FORMAT TSV\n1\tx\n", 16, 500),
        (b"INSERT INTO t FORMAT Nonsense\nx", 73, 404),
        (b"SELECT 1 SETTINGS nonsense = 1", 115, 404),
        (b"SELECT groupArray(number) FROM numbers(1000000000) SETTINGS max_memory_usage = 100000000", 241, 500),
        (b"SELECT sleep(3) SETTINGS max_execution_time = 1", 159, 408),
        (b"SELECT 1 INTO OUTFILE '/tmp/earshot-never'", 497, 403),
    ],
)
def test_errors_carry_clickhouse_codes(settings: Settings, client: Client, body: bytes, code: int, status: int) -> None:
    got, text, headers = post(settings, body)
    assert (headers["X-ClickHouse-Exception-Code"], got) == (str(code), status), text
    assert text.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert count(client) == 0


def test_an_insert_that_ran_out_of_time_says_so(settings: Settings, client: Client) -> None:
    rows = b"".join(b"%d\t%s\n" % (n, b"x" * 50) for n in range(1_000_000))
    status, text, headers = post(settings, rows, query="INSERT INTO t FORMAT TSV", max_execution_time="0.05")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (408, "159"), text
    assert count(client) == 0


def test_a_setting_ends_with_its_query(settings: Settings, client: Client) -> None:
    assert post(settings, b"SELECT getSetting('max_block_size')", max_block_size="77")[1] == b"77\n"
    assert post(settings, b"SELECT getSetting('max_block_size')")[1] != b"77\n"
    assert post(settings, b"SELECT 1", nonsense="1")[2]["X-ClickHouse-Exception-Code"] == "115"


def test_nothing_of_a_statement_is_there_for_the_next(settings: Settings, client: Client) -> None:
    """They share connections: each of these would change what others on its connection mean."""
    asked = b"SELECT getSetting('max_block_size'), currentDatabase(), getSetting('max_execution_time') > 50"
    plain = post(settings, asked)[1]
    for _ in range(2):
        assert post(settings, b"SET max_block_size = 77")[0] == post(settings, b"USE system")[0] == 200
        assert post(settings, b"CREATE TEMPORARY TABLE short (a UInt8) ENGINE = Memory")[0] == 200
        assert post(settings, b"SELECT {x:String} SETTINGS max_block_size = 77", param_x="a")[1] == b"a\n"
        assert post(settings, b"SELECT 1", max_execution_time="7", log_comment="mine")[0] == 200
        assert post(settings, b"1\ta\n", query="INSERT INTO t FORMAT TSV", insert_deduplication_token="one")[0] == 200
        assert post(settings, b"SELECT throwIf(1)")[2]["X-ClickHouse-Exception-Code"] == "395"
        assert post(settings, None, query="SELECT 1")[0] == 200, "a GET, which only reads"
        for _ in range(3):
            assert post(settings, asked)[1] == plain
            assert post(settings, b"EXISTS TEMPORARY TABLE short")[1] == b"0\n"
            assert post(settings, b"SELECT {x:String}")[2]["X-ClickHouse-Exception-Code"] == "456"
            assert post(settings, b"2\tb\n", query="INSERT INTO t FORMAT TSV")[0] == 200
    assert count(client) == 2, "those without a token were not taken for those with one"


def test_formats_and_summary(settings: Settings, client: Client) -> None:
    assert post(settings, b"SELECT 1 AS x FORMAT JSONEachRow")[1] == b'{"x":1}\n'
    assert post(settings, b"SELECT 1 AS x", default_format="CSVWithNames")[1] == b'"x"\n1\n'
    summary = json.loads(post(settings, b"1\tx\n2\ty\n", query="INSERT INTO t FORMAT TSV")[2]["X-ClickHouse-Summary"])
    assert summary["written_rows"] == "2"


def test_a_querys_id_is_the_clients_where_it_can_stand_in_a_header(settings: Settings) -> None:
    assert post(settings, b"SELECT 1", query_id="my-query_1")[2]["X-ClickHouse-Query-Id"] == "my-query_1"
    for given in ("a\r\nX-Evil: 1", "a\n", "x" * 65, "é"):
        status, text, headers = post(settings, b"SELECT 1", query_id=given)
        assert (status, text, headers["X-Evil"]) == (200, b"1\n", None)
        assert headers["X-ClickHouse-Query-Id"] != given


def test_a_small_body_does_not_unpack_to_more_than_a_body_may_be(settings: Settings) -> None:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for _ in range(65):
            stream.write(bytes(16 << 20))
    status, _, headers = post(settings, sink.getvalue().to_pybytes(), {"Content-Encoding": "zstd"})
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (413, "307")


def test_a_get_only_reads_and_reaches_nothing_else(settings: Settings, client: Client) -> None:
    client.command("INSERT INTO t VALUES (1, 'x')")
    for sql, code in (
        ("TRUNCATE TABLE t", 164),
        ("SELECT 1 INTO OUTFILE '/tmp/earshot-never'", 164),
        ("SELECT * FROM file('/etc/passwd', LineAsString)", 164),
        ("SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a Int8')", 164),
        ("SELECT * FROM t SETTINGS max_threads = 1", 164),
    ):
        status, text, headers = post(settings, None, query=sql, readonly="0")
        assert (sql, headers["X-ClickHouse-Exception-Code"]) == (sql, str(code)), text
    assert post(settings, None, query="SELECT count() FROM t")[1] == b"1\n"


def test_default_has_a_password_and_who_names_nobody_is_the_analyst(settings: Settings, client: Client) -> None:
    with urllib.request.urlopen(f"{settings.clickhouse.url}/?query=SELECT+1", timeout=10) as answer:
        assert answer.read() == b"1\n"
    nobody = Request(settings.clickhouse.url, b"SELECT * FROM system.tables")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(nobody, timeout=10)
    caught.value.close()
    assert caught.value.headers["X-ClickHouse-Exception-Code"] == "497"


def test_a_wrong_password_is_refused(settings: Settings) -> None:
    for headers in (
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "x"},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": ""},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "\xff"},
        {"X-ClickHouse-User": "nobody"},
        {"X-ClickHouse-User": "analyst"},  # with default's key
    ):
        status, text, answered = post(settings, b"SELECT 1", headers)
        assert (status, answered["X-ClickHouse-Exception-Code"]) == (403, "516"), text
    url = urlsplit(settings.clickhouse.url)
    with pytest.raises(ClickHouseError, match="Authentication failed"):
        clickhouse_connect.get_client(host=url.hostname, port=url.port, username="default", password="wrong")


@pytest.mark.parametrize("path", ["/", "/ping"])
def test_pages_of_another_origin_are_refused(settings: Settings, path: str) -> None:
    for headers in (
        {"Origin": "https://example.com"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Host": "example.com"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        request = Request(f"{settings.clickhouse.url}{path}", headers=headers)
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(request, timeout=10)
        caught.value.close()
    typed = Request(f"{settings.clickhouse.url}{path}", headers={"Sec-Fetch-Site": "none"})
    with urllib.request.urlopen(typed, timeout=10) as answer:
        assert answer.read() == b"Ok.\n"


def test_long_queries_hold_up_neither_inserts_nor_each_other(settings: Settings, client: Client) -> None:
    slow = threading.Thread(target=post, args=(settings, b"SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_block_size = 1"))
    slow.start()
    try:
        client.command("INSERT INTO t VALUES (1, 'x')")
        client.raw_insert("t", insert_block=b"2\ty\n", fmt="TSV")
        assert count(client) == 2
        assert slow.is_alive()
    finally:
        slow.join()


def test_a_client_that_goes_away_kills_its_query(settings: Settings, client: Client) -> None:
    url = urlsplit(settings.clickhouse.url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port)
    query = b"SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) % 7 = 9 /* abandoned */"
    connection.request("POST", "/", query, credentials(settings))
    running = "SELECT count() FROM system.processes WHERE query LIKE '%abandoned%' AND query NOT LIKE '%processes%'"
    wait_until(lambda: client.command(running) == 1)
    connection.close()
    wait_until(lambda: client.command(running) == 0)


def test_a_body_that_breaks_off_writes_nothing(settings: Settings, client: Client) -> None:
    url = urlsplit(settings.clickhouse.url)
    values = {"query": f"INSERT INTO {settings.clickhouse.database}.t FORMAT TSV"}
    connection = http.client.HTTPConnection(str(url.hostname), url.port)
    connection.putrequest("POST", f"/?{urlencode(values)}")
    for name, value in credentials(settings).items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"1\tx\n2\ty\n")
    connection.close()
    client.raw_insert("t", insert_block=b"3\tz\n", fmt="TSV")  # inserts come one after another
    assert client.query("SELECT a FROM t").result_rows == [(3,)]


def test_acknowledged_rows_outlive_sigkill(stack: Stack, settings: Settings, client: Client) -> None:
    acknowledged = 0
    for round_ in range(3):
        killer = threading.Timer(0.3, stack.kill, ("clickhouse",))
        killer.start()
        try:
            while True:
                status = post(
                    settings,
                    b"1\tx\n" * 100,
                    query="INSERT INTO t FORMAT TSV",
                    insert_deduplication_token=f"{round_}.{acknowledged}",
                )[0]
                assert status == 200
                acknowledged += 100
        except (OSError, http.client.HTTPException):
            pass  # the server is gone
        killer.join()
        stack.restart("clickhouse")
        # The insert that was cut off may be there or not.
        assert count(client) - acknowledged in (0, 100)
        acknowledged = count(client)
    assert acknowledged > 300


def wait_until(met: Any, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline, "not met in time"
        time.sleep(0.05)
