"""Check that the removal of an original removes its thumbnails and its manifest."""

from collections.abc import Iterator

from local.amounts import counted
from smoke.deployment import Deployment
from smoke.report import Row, judged_all
from smoke.visit import Removal, Visit


def a_removal_takes_all_along(deployment: Deployment, visit: Visit) -> Iterator[Row]:
    """Check that deleting an original removes its thumbnails and its manifest."""
    yield removal(visit.removal, len(deployment.sizes) + 1)


def removal(removed: Removal, expected: int) -> Row:
    """Judge the thumbnails and the manifest of an original before and after its removal."""
    faults = []
    if len(removed.before) != expected:
        faults.append(f"there were {counted(len(removed.before), 'object')} for it, not {expected}")
    if removed.execution is None:
        faults.append("no execution was started for its removal")
    elif removed.execution.status != "SUCCEEDED":
        faults.append(f"its execution is {removed.execution.failed_with}")
    elif not removed.execution.name.startswith("removed-"):
        faults.append(f"{removed.execution.name} does not begin with removed-")
    faults += [f"{key} still exists" for key in removed.after]
    found = f"{len(removed.before)} objects, in execution {removed.execution.name}" if removed.execution else ""
    return judged_all("thumbnails of a deleted original are deleted", found, faults)
