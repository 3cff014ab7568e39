"""Joins edges one by one, where an edge may be refused."""

from __future__ import annotations

from collections.abc import Iterable

TWO_RECORDS, NEVER, TOO_LARGE = "two CRM records", "never", "too large"


class Walk:
    """Sets of nodes that grow by edges, each within the rules.

    `profiles` and `records` say of each node how many profiles and CRM records it is. A pair of `apart` never is in one set.
    """

    def __init__(self, profiles: list[int], records: list[int], apart: Iterable[tuple[int, int]], largest: int) -> None:
        self._parent = list(range(len(profiles)))
        self._profiles, self._records, self._largest = profiles, records, largest
        self._apart: dict[int, set[int]] = {}
        """By root: the nodes that must stay out of its set."""
        for one, other in apart:
            self._apart.setdefault(one, set()).add(other)
            self._apart.setdefault(other, set()).add(one)

    def join(self, one: int, other: int, confirmed: bool) -> str | None:
        """Joins the sets of both nodes, or says why not. `confirmed`: they may hold two CRM records."""
        root, leaf = self._root(one), self._root(other)
        if root == leaf:
            return None
        if self._records[root] and self._records[leaf] and not confirmed:
            return TWO_RECORDS
        if self._are_apart(root, leaf):
            return NEVER
        if self._profiles[root] + self._profiles[leaf] > self._largest:
            return TOO_LARGE
        if self._profiles[root] < self._profiles[leaf]:
            root, leaf = leaf, root
        self._parent[leaf] = root
        self._profiles[root] += self._profiles[leaf]
        self._records[root] += self._records[leaf]
        if leaf in self._apart:
            self._apart.setdefault(root, set()).update(self._apart.pop(leaf))
        return None

    def _root(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def _are_apart(self, one: int, other: int) -> bool:
        """Whether a node that must stay out of one set is in the other; `_apart` knows each pair from both sides."""
        mine, others = self._apart.get(one, set()), self._apart.get(other, set())
        if len(mine) > len(others):
            mine, other = others, one
        return any(self._root(node) == other for node in mine)
