"""The HTTP API of a process that takes commands: its server, and the client that sends them."""
