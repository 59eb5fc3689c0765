"""Reasons to refuse a reconcile. The function returns their names, and the execution fails with name and message.

::

    RefusedError
    ├── InvalidInputError      the input of the execution breaks a rule
    ├── PlanNotFoundError      no such plan, or it has expired
    ├── PlanNotFinishedError   the plan's execution has not ended
    ├── PlanTooOldError        the plan is older than a week
    ├── OtherRecipeError       recipes.json or ThumbnailSizes have changed since
    ├── TooManyOrphansError    more than a tenth of all manifests have no original
    └── TooManyStraysError     more than a tenth of all thumbnails are in no manifest
"""


class RefusedError(Exception):
    """Base class of all refusals: nothing was changed."""


class InvalidInputError(RefusedError):
    """The input of the execution breaks a rule.

    Attributes
    ----------
    field : str
        Empty for the whole input.
    rule : str
    """

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"The input is invalid{f' at {field}' if field else ''}: {rule}.")
        self.field = field
        self.rule = rule


class PlanNotFoundError(RefusedError):
    """There is no such plan.

    Attributes
    ----------
    plan : str
    """

    def __init__(self, plan: str) -> None:
        super().__init__(f"There is no plan '{plan}'. Plans are deleted after 30 days. Make a new plan.")
        self.plan = plan


class PlanNotFinishedError(RefusedError):
    """The execution that makes the plan has not ended, or it failed.

    Attributes
    ----------
    plan : str
    """

    def __init__(self, plan: str) -> None:
        super().__init__(f"The plan '{plan}' is not finished. Wait for its execution, or make a new plan.")
        self.plan = plan


class PlanTooOldError(RefusedError):
    """The plan is older than a week.

    Attributes
    ----------
    plan : str
    days : float
    """

    def __init__(self, plan: str, days: float) -> None:
        super().__init__(f"The plan '{plan}' is {days:.1f} days old; the limit is 7 days. Make a new plan.")
        self.plan = plan
        self.days = days


class OtherRecipeError(RefusedError):
    """The recipes have changed since the plan was made.

    Attributes
    ----------
    plan : str
    """

    def __init__(self, plan: str) -> None:
        super().__init__(f"recipes.json or ThumbnailSizes have changed since the plan '{plan}'. Make a new plan.")
        self.plan = plan


class TooManyOrphansError(RefusedError):
    """Many manifests have no original, so a wrong prefix or an emptied bucket is likely.

    Attributes
    ----------
    orphans, manifests : int
    """

    def __init__(self, orphans: int, manifests: int) -> None:
        super().__init__(
            f"More than a tenth of all manifests have no original: {orphans:,} of {manifests:,}. "
            'If the originals were deleted on purpose, use "prune": "all".'
        )
        self.orphans = orphans
        self.manifests = manifests


class TooManyStraysError(RefusedError):
    """Many thumbnails are in no manifest, so somebody may have deleted the manifests.

    Attributes
    ----------
    strays, thumbnails : int
    """

    def __init__(self, strays: int, thumbnails: int) -> None:
        super().__init__(
            f"More than a tenth of all thumbnails are in no manifest: {strays:,} of {thumbnails:,}. "
            'Run the plan without prune first. To delete all these thumbnails, use "prune": "all".'
        )
        self.strays = strays
        self.thumbnails = thumbnails
