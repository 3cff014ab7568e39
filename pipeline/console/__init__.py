"""The console: pages in a browser, over ClickHouse and the APIs."""
