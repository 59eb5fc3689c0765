"""The checks of a deployment. Each check returns rows with a promise and what AWS did."""

from collections.abc import Callable, Iterator

from smoke.checks.alarms import metrics_and_alarms
from smoke.checks.api import (
    bad_requests_are_refused,
    good_requests_are_done,
    only_signed_requests_are_taken,
    repeated_requests_start_once,
)
from smoke.checks.delivery import (
    a_replaced_picture_is_served,
    http_is_redirected,
    nothing_else_is_served,
    pictures_are_served,
    the_bucket_is_private,
)
from smoke.checks.functions import functions_have_room
from smoke.checks.gateway import stage_is_set, the_model_is_the_schema
from smoke.checks.logs import api_requests_are_logged, executions_are_logged, functions_log
from smoke.checks.notifications import ends_are_told
from smoke.checks.queries import saved_queries_answer
from smoke.checks.removal import a_removal_takes_all_along
from smoke.checks.storage import (
    buckets_are_closed,
    changes_are_notified,
    conditions_hold,
    nothing_is_left_in_queues,
)
from smoke.checks.uploads import (
    manifests_are_written,
    names_can_be_logged,
    no_picture_fails_by_name,
    thumbnails_are_made,
)
from smoke.deployment import Deployment
from smoke.report import Row
from smoke.visit import Visit

Check = Callable[[Deployment, Visit], Iterator[Row]]

CHECKS: dict[str, tuple[Check, ...]] = {
    "Buckets and queues": (changes_are_notified, conditions_hold, buckets_are_closed, nothing_is_left_in_queues),
    "Functions": (functions_have_room,),
    "Uploads": (
        thumbnails_are_made,
        manifests_are_written,
        no_picture_fails_by_name,
        names_can_be_logged,
        ends_are_told,
    ),
    "Delivery": (
        the_bucket_is_private,
        pictures_are_served,
        nothing_else_is_served,
        http_is_redirected,
        a_replaced_picture_is_served,
    ),
    "Removals": (a_removal_takes_all_along,),
    "API": (
        only_signed_requests_are_taken,
        good_requests_are_done,
        bad_requests_are_refused,
        repeated_requests_start_once,
    ),
    "The API as API Gateway imported it": (the_model_is_the_schema, stage_is_set),
    "Logs": (functions_log, executions_are_logged, api_requests_are_logged, saved_queries_answer),
    "Metrics and alarms": (metrics_and_alarms,),
}
