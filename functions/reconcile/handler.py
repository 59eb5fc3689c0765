"""Entry point of the Lambda of ReconcileThumbnails: it takes the step that the state machine names."""

import os
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.reconcile import planning, running
from functions.reconcile.errors import RefusedError
from functions.reconcile.inputs import PlanInput, parse_input
from functions.reconcile.plans import plan_id
from functions.reconcile.price import RunPrices
from functions.reconcile.storage import Store, create_s3_client
from functions.start_from_s3.recipes import RECIPES_PATH, parse_recipes, parse_sizes

logger = Logger()
metrics = Metrics()

_RECIPES = parse_recipes(RECIPES_PATH.read_text(encoding="utf-8"), parse_sizes(os.environ["THUMBNAIL_SIZES"]))
_PRICES = RunPrices.read(os.environ["ARCHITECTURE"])
_ORIGINALS_PREFIX = os.environ["ORIGINALS_PREFIX"]
_STORE = Store(
    create_s3_client(), os.environ["BUCKET_OWNER"], os.environ["ORIGINALS_BUCKET"], os.environ["THUMBNAILS_BUCKET"]
)


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one step.

    Parameters
    ----------
    event : dict
        ``{"step": <name>, "execution": <ARN>, "started": <ISO 8601>, "state": <input of the state>}``.
    context : LambdaContext

    Returns
    -------
    dict
        The state after the step, or ``{"refused": {"error": …, "message": …}}``.
    """
    try:
        state = _take(event, lambda: context.get_remaining_time_in_millis() / 1000)
    except RefusedError as error:
        logger.warning("refused", error=type(error).__name__, reason=str(error))
        return {"refused": {"error": type(error).__name__, "message": str(error)}}
    if "output" in state:
        logger.info("reported", step=event["step"], **state["output"])
        if event["step"] == "report_plan":
            _report_drift(event["state"], state["output"]["counts"])
    return state


def _report_drift(state: dict[str, Any], counts: dict[str, Any]) -> None:
    """Send the metric of DriftAlarm if the plan is a check: a plan of all originals that waited before it compared."""
    if state["wait_seconds"] > 0 and state["prefix"] == _ORIGINALS_PREFIX:
        drift = counts["out_of_line"] + counts["orphans"] + counts.get("strays", 0)
        metrics.add_metric("Drift", MetricUnit.Count, drift)
        metrics.flush_metrics()


def _take(event: dict[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
    step, state = event["step"], event["state"]
    if step == "begin":
        wanted, own_id = parse_input(state, _ORIGINALS_PREFIX), plan_id(event["execution"], event["started"])
        if isinstance(wanted, PlanInput):
            return planning.begin(wanted, own_id, event["started"], _RECIPES, _STORE)
        return running.begin(wanted, own_id, event["started"], _RECIPES, _STORE)
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "list": lambda: planning.list_keys(state, _STORE, seconds_left),
        "compare": lambda: planning.compare_part(state, _RECIPES, _STORE),
        "report_plan": lambda: planning.report(state, _PRICES, _STORE, seconds_left),
        "compare_again": lambda: running.compare_again(state, _RECIPES, _STORE),
        "record": lambda: running.record(state, _STORE),
        "report_run": lambda: running.report(state, _STORE, seconds_left),
    }
    return steps[step]()
