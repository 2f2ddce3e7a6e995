"""What one unit of work costs on the estimated instance type, in both markets."""

from dataclasses import replace

from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.work import basis_text, learned_notes, per_unit
from gpuctl.documents.work import work_shape
from gpuctl.domain.instance import Market
from gpuctl.services.work_history import history_of_purpose


def with_work(context: Context, result: Result, purpose: str) -> Result:
    """The estimate with dollars per unit of work in its region, by on-demand and by spot."""
    estimate = result.document["estimate"]
    catalog = context.wiring.catalog
    history = history_of_purpose(context.wiring.store, catalog, purpose)
    kind = catalog.find(estimate["instanceType"])
    costs = [history.cost_of(catalog.offer(kind, estimate["region"], market)) for market in Market]
    shapes = [{"market": cost.offer.market.value, **work_shape(cost, history)} for cost in costs]
    lines = [
        f"{cost.offer.market.value}: {per_unit(cost)} per {history.unit} ({basis_text(cost) or 'speed unknown'})"
        for cost in costs
    ]
    return replace(
        result,
        document={**result.document, "estimate": {**estimate, "work": shapes}},
        footer=[*result.footer, *lines, *learned_notes(history, purpose)],
    )
