"""The trees and the routes of a packed plan, drawn with their shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emul.plans import Plan
from emul.plans.algorithms.packed import PackedSpec, Pipeline, SiteTree
from emul.plans.algorithms.routed import RoutedSpec

__all__ = ["packed_lines"]

TOWARDS = ("reduce", "reduce_scatter")
"""Collectives whose trees lead to their roots."""

IN_BLOCKS = ("all_gather", "reduce_scatter")


def packed_lines(plan: Plan, sites: Sequence[str]) -> Iterator[str]:
    """Yield the trees of sites, or the routes between them, with their shares; else nothing."""
    spec = plan.spec
    if isinstance(spec, PackedSpec):
        yield f"{_many(len(spec.trees), 'tree')}, {_pipeline(spec.pipeline)}"
        for number, tree in enumerate(spec.trees):
            yield from _tree(spec, number, tree, sites)
    elif isinstance(spec, RoutedSpec):
        yield from _routes(spec, sites)


def _pipeline(pipeline: Pipeline) -> str:
    said = f"{_many(pipeline.pieces, 'piece')}, {_many(pipeline.leaders, 'leader')} per site"
    if pipeline.channels > 1:
        said += f", {pipeline.channels} channels per tree"
    return said


def _tree(spec: PackedSpec, number: int, tree: SiteTree, sites: Sequence[str]) -> Iterator[str]:
    roots = [site for site, parent in enumerate(tree.parents) if parent < 0]
    whole = sum(
        each.units
        for each in spec.trees
        if spec.collective not in IN_BLOCKS or each.site == tree.site
    )
    of = f"each block of {sites[tree.site]}" if spec.collective in IN_BLOCKS else "the vector"
    how = "leads to the root" if spec.collective in TOWARDS else "leads from the root"
    if spec.collective == "all_reduce":
        ends = " and ".join(sites[root] for root in roots)
        how = f"{ends} exchange" if len(roots) > 1 else f"up to {ends} and down again"
    yield f"tree {number} has {_share(tree.units, whole)} of {of}; {how}:"
    for root in roots:
        yield from _branch(tree.parents, root, sites, 1)


def _branch(parents: Sequence[int], site: int, sites: Sequence[str], depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{sites[site]}"
    for child, parent in enumerate(parents):
        if parent == site:
            yield from _branch(parents, child, sites, depth + 1)


def _routes(spec: RoutedSpec, sites: Sequence[str]) -> Iterator[str]:
    yield _many(len(spec.routes), "route")
    for route in spec.routes:
        ends = route.path[0], route.path[-1]
        whole = sum(each.units for each in spec.routes if (each.path[0], each.path[-1]) == ends)
        path = " -> ".join(sites[site] for site in route.path)
        yield f"  {path}: {_share(route.units, whole)} of the bytes between the two"


def _share(units: int, whole: int) -> str:
    return f"{units}/{whole}" if units < whole else "all"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
