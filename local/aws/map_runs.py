"""Distributed Maps as AWS documents them: MaxConcurrencyPath, and children that end with their parent.

MiniStack supports only MaxConcurrency, and the children of a stopped execution continue to run.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
"""

from typing import Any

from ministack.services import stepfunctions  # type: ignore[import-not-found]

# MiniStack has no public place to change any of this.
_ministack_run_distributed_map = stepfunctions._run_distributed_map  # noqa: SLF001
_ministack_run_sub_machine = stepfunctions._run_sub_machine  # noqa: SLF001


def install() -> None:
    """Make MiniStack run Distributed Maps as below."""
    stepfunctions._run_distributed_map = _run_distributed_map  # noqa: SLF001 - as above
    stepfunctions._run_sub_machine = _run_sub_machine  # noqa: SLF001 - as above


def _run_distributed_map(  # noqa: PLR0913, PLR0917 - MiniStack's
    state: dict[str, Any], raw_input: Any, effective: Any, iterator: Any, execution: dict[str, Any], context: Any
) -> Any:
    if "MaxConcurrencyPath" in state:
        concurrency = stepfunctions._resolve_path_or_ctx(state["MaxConcurrencyPath"], effective, context)  # noqa: SLF001
        state = {**state, "MaxConcurrency": concurrency}
    return _ministack_run_distributed_map(state, raw_input, effective, iterator, execution, context)


def _run_sub_machine(states: Any, start_at: str, value: Any, execution: dict[str, Any], context: Any) -> Any:
    """Run a child, or one item of a Map within it, unless its parent has been stopped."""
    if "mapRunArn" in execution:
        run = stepfunctions._map_runs[execution["mapRunArn"]]  # noqa: SLF001 - as above
        if stepfunctions._executions[run["executionArn"]]["status"] == "ABORTED":  # noqa: SLF001
            raise stepfunctions._ExecutionError("States.Aborted", "The parent execution was stopped.")  # noqa: SLF001
    return _ministack_run_sub_machine(states, start_at, value, execution, context)
