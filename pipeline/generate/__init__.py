"""The seeded synthetic stream and its truth: what they hold and guarantee is in docs/generate.md."""
