"""The seeded synthetic stream and its truth; docs/generate.md describes their contents and guarantees."""
