"""Services assume roles on behalf of a resource, and say which: ``aws:SourceArn`` and ``aws:SourceAccount``.

Trust policies guard against a confused deputy with these keys. Requests to STS carry them in two headers, which the
control planes that run inside AWS send, such as
https://github.com/kubernetes/cloud-provider-aws/blob/master/pkg/providers/v1/aws_assumerole_provider.go

MiniStack evaluates a role's trust policy without them, so that a policy with such a condition would let nobody in.

https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
"""

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_evaluator  # type: ignore[import-not-found]

_KEYS = {b"x-amz-source-account": "aws:sourceaccount", b"x-amz-source-arn": "aws:sourcearn"}

_source: ContextVar[dict[str, str]] = ContextVar("source")
_ministack_evaluate_trust_policy = iam_evaluator.evaluate_trust_policy


def install() -> None:
    """Make MiniStack evaluate trust policies as below."""
    iam_evaluator.evaluate_trust_policy = _evaluate_trust_policy


@contextmanager
def source_of(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
    """Keep the source that a request names while it is worked on."""
    token = _source.set({_KEYS[name.lower()]: value.decode() for name, value in headers if name.lower() in _KEYS})
    try:
        yield
    finally:
        _source.reset(token)


def _evaluate_trust_policy(document: Any, caller_arn: str, context: Any = None) -> Any:
    source = _source.get({})
    # Only the services' stand-in may name a source: MiniStack lets nobody but root be a service.
    if context is not None and source and caller_arn.endswith(":root"):
        context = dataclasses.replace(context, service_context={**context.service_context, **source})
    return _ministack_evaluate_trust_policy(document, caller_arn, context)
