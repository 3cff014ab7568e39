"""What strangers may write."""

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe \u2066 hidden \x1b[31m \x00 nul".replace("\x00", ""),
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "z" + "\u0301" * 300,
    "w" * 100_000,
    "..",
    "a/../b",
    "100% of it?&#;",
    "שלום עולם مرحبا",
)
