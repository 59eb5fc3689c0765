"""A throttled function makes its task fail with Lambda.TooManyRequestsException.

MiniStack reports Lambda.Unknown to Step Functions, which is the error of a killed function.

https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
"""

from typing import Any

from ministack.services import lambda_svc  # type: ignore[import-not-found]  # only in MiniStack's own environment

_ministack_throttle = lambda_svc._throttle_response  # noqa: SLF001 - MiniStack has no public place to change it


def install() -> None:
    """Make MiniStack name the error."""
    lambda_svc._throttle_response = _throttle  # noqa: SLF001 - as above


def _throttle(*arguments: Any, **named: Any) -> Any:
    answer = _ministack_throttle(*arguments, **named)
    answer["body"]["errorType"] = "Lambda.TooManyRequestsException"
    return answer
