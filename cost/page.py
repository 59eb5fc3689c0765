"""Write the results of the cost model: as docs/cost.md, and as a table for given numbers."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from textwrap import fill

from cost.deployment import Deployment
from cost.measured import Measured
from cost.model import (
    WORKFLOWS,
    Line,
    Work,
    break_even_seconds,
    break_even_uploads,
    express_mb,
    express_seconds,
    price_kms,
    price_month,
    price_notifications,
    price_notifications_month,
    price_polls,
    price_posts,
    price_work,
    start_seconds,
    total,
    traced_share,
)
from cost.prices import PriceTable
from cost.requests import RESIZE, Deed, Requests
from functions.reconcile import price as reconcile
from functions.reconcile.inputs import CONCURRENCY
from local.amounts import counted

_MILLION = 1_000_000
_SIZES = (1, 5)
_CURVE = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
_SECONDS = (0.1, 0.4, 1.0)
# Bytes of a phone's photograph, and of a thumbnail of 128 pixels with its manifest.
_ORIGINAL_GB, _THUMBNAIL_GB = 3.5e-3, 5e-6
# The permanent free tier of a month: https://aws.amazon.com/step-functions/pricing/
_FREE_TRANSITIONS = 4000
_HOURS_OF_A_MONTH = 730
_PAGE_WIDTH = 120
# Larger numbers of units are shown without decimals.
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Facts:
    """The inputs of the page."""

    table: PriceTable
    deployment: Deployment
    measured: Measured

    def lines(self, work: Work, workflow: str) -> list[Line]:
        """Return the lines of cost of some work."""
        return price_work(work, workflow, self.deployment, self.measured)

    def dollars(self, work: Work, workflow: str) -> float:
        """Return the cost of some work in dollars."""
        return total(self.lines(work, workflow), self.table)

    def curve(self, uploads: Sequence[float], workflow: str) -> list[float]:
        """Return the monthly cost of each number of uploads with one thumbnail, including the fixed costs."""
        month = total(price_month(self.deployment, workflow), self.table)
        return [month + self.dollars(Work(count), workflow) for count in uploads]


def answer(work: Work, facts: Facts) -> str:
    """Return the cost for given numbers as text for a terminal: the lines of both workflows, and the month."""
    heads = ["", "units (STANDARD)", *WORKFLOWS]
    rows = _side_by_side([facts.lines(work, workflow) for workflow in WORKFLOWS], facts.table)
    rows[-1][0] = "uploads together"
    months = [price_month(facts.deployment, workflow) for workflow in WORKFLOWS]
    for lines in zip(*months, strict=True):
        name = f"{lines[0].group}: {lines[0].what} (a month)"
        rows.append([name, _units(lines[0].count), *(_dollars(line.dollars(facts.table)) for line in lines)])
    sums = [
        facts.dollars(work, workflow) + total(month, facts.table)
        for workflow, month in zip(WORKFLOWS, months, strict=True)
    ]
    rows.append(["month together", "", *map(_dollars, sums)])
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in [heads, *rows]
    )


def write_page(facts: Facts) -> str:
    """Return docs/cost.md."""
    parts: list[Callable[[Facts], str]] = [
        _introduction,
        _a_million_uploads,
        _what_moves_it,
        _other_deeds,
        _the_api,
        _what_is_there,
        _notifications,
        _a_month,
        _the_curve,
        _peers,
        _not_in_here,
        _prices,
    ]
    return "\n\n".join(_wrap(part(facts)) for part in parts) + "\n"


def _introduction(facts: Facts) -> str:
    totals = {
        (workflow, sizes): _dollars(facts.dollars(Work(_MILLION, sizes), workflow))
        for workflow in WORKFLOWS
        for sizes in _SIZES
    }
    slow = {workflow: _dollars(facts.dollars(Work(_MILLION, resize_seconds=0.4), workflow)) for workflow in WORKFLOWS}
    quiet = _dollars(total(price_month(facts.deployment), facts.table))
    requests = sum(each.count(1) for each in RESIZE[Deed.UPLOADED].values())
    return f"""
# What it costs

A million uploads with one thumbnail each cost **{totals["STANDARD", 1]}** with `UploadWorkflow=STANDARD`, the default,
and **{totals["EXPRESS", 1]}** with `EXPRESS`. With five thumbnails each they cost {totals["STANDARD", 5]} and
{totals["EXPRESS", 5]}. A month without uploads costs at most {quiet}. These prices use the durations
measured here: {facts.measured.resize_ms:.0f} ms for a resize with one thumbnail, {facts.measured.resize_ms_5:.0f} ms
with five. **If a resize with one thumbnail
takes 400 ms on AWS**, a million uploads cost {slow["STANDARD"]} and {slow["EXPRESS"]}.

`make cost` writes this page. `make cost UPLOADS=3e6 SIZES=5` calculates the cost for your own numbers. **All figures
are estimates**: numbers of units, multiplied by list prices of {facts.table.region} in US dollars. Free tiers are not
subtracted, and each price is that of the first tier. The sources are:

- [`template.yaml`](../template.yaml) and the [state machine](../statemachine/image_resize.asl.json), with the default
  of every parameter

- the requests of each run, which a [test](../tests/functional/test_requests.py) counts with the real functions

- durations and bytes of log in [`measured.json`](measured.json): {facts.measured.source}

- the prices in [`prices.json`](prices.json), looked up on {facts.table.looked_up}

The durations were measured with warm functions, **with S3 on the same machine, and on a different processor than
AWS's**. On AWS, each of the {requests} S3 requests of an upload adds latency. So read the totals for other durations
below.
"""


def _a_million_uploads(facts: Facts) -> str:
    works = [(workflow, Work(_MILLION, sizes)) for workflow in WORKFLOWS for sizes in _SIZES]
    rows = _side_by_side([facts.lines(work, workflow) for workflow, work in works], facts.table)
    heads = ["", "units (STANDARD, 1)", *(f"{workflow}, {work.thumbnails}" for workflow, work in works)]
    rows[-1] = [f"**{cell}**" if cell else "" for cell in rows[-1]]
    measured, deployment = facts.measured, facts.deployment
    seconds = measured.resize_seconds(1)
    starts = {each: start_seconds(each, seconds, deployment, measured) * 1000 for each in WORKFLOWS}
    logged = measured.resize_log_bytes + measured.start_log_bytes
    return f"""
## A million uploads

The cost with one and with five thumbnails each, if the uploads are spread evenly over a month:

{_markdown(heads, rows)}

- **State transitions**: a successful execution has {deployment.transitions} states. AWS counts a transition "each time
  a step of your workflow is executed". Each retry is one more transition. To avoid retries, uploads are started only as
  fast as they can be processed.

- **EXPRESS**: one run of {express_seconds(seconds):.1f} s at {express_mb(deployment)} MB. The model assumes that a run
  takes 0.1 s longer than the resize. Runs are billed in steps of 100 ms.

- **Lambda**: {measured.resize_ms:.0f} ms at {deployment.resize_mb:,} MB for the resize, and
  {measured.resize_ms_5:.0f} ms with five thumbnails. `start_from_s3` has {deployment.start_mb} MB. With STANDARD it
  takes {starts["STANDARD"]:.0f} ms: the measured duration ({measured.start_ms:.0f} ms) or the wait in a
  burst, whichever is longer. With EXPRESS it
  takes {starts["EXPRESS"]:.0f} ms, because it waits for the run. `ListExecutions` is free.

- **S3**: the function reads the manifest and the original, and writes the thumbnails and the manifest. After the first
  manifest of a key it also checks all of these objects once. The PUT of the original is included, because it is on the
  same bill.

- **SQS**: three requests for each message. In a burst, a batch of {deployment.batch_size} messages shares two of them.

- **Logs**: {logged:,.0f} bytes from the functions for each upload, kept for {deployment.log_days} days and counted
  uncompressed. At `WorkflowLogLevel={deployment.log_level}` the state machine logs
  {"every step" if deployment.log_level == "ALL" else "failures only"}.

- **Traces**: with `XRayTracing=true`, X-Ray records the first request in each second and 5 % of the others. An upload
  has one trace for `start_from_s3` and one for the execution. Of a million uploads in a month X-Ray records
  {_percent(traced_share(_MILLION))}, of ten million {_percent(traced_share(10 * _MILLION))}, and of a million within
  12 hours {_percent(traced_share(_MILLION * 730 / 12))}.
"""


def _what_moves_it(facts: Facts) -> str:
    def totals(changed: Facts, seconds: float | None = None) -> list[str]:
        return [
            _dollars(changed.dollars(Work(_MILLION, sizes, resize_seconds=seconds), workflow))
            for workflow in WORKFLOWS
            for sizes in _SIZES
        ]

    deployment = facts.deployment
    changed = {
        "`WorkflowLogLevel=ALL` with `WorkflowLogData=true`": replace(deployment, log_level="ALL"),
        "`Architecture=x86_64`, if it is as fast": replace(deployment, architecture="x86_64"),
        "`XRayTracing=true`": replace(deployment, is_traced=True),
    }
    rows = [["as measured", *totals(facts)]]
    rows += [[f"{seconds * 1000:,.0f} ms for each resize", *totals(facts, seconds)] for seconds in _SECONDS]
    rows += [[name, *totals(replace(facts, deployment=other))] for name, other in changed.items()]
    return f"""
## What changes the total

{_markdown(["a million uploads", *_columns()], rows)}

At `ALL` with data, the state machine logs {facts.measured.machine_log_bytes:,.0f} bytes for each successful execution.
"""


def _other_deeds(facts: Facts) -> str:
    rows = [
        [
            f"a million originals {deed.value}",
            *(
                _dollars(facts.dollars(Work(_MILLION, sizes, deed), workflow))
                for workflow in WORKFLOWS
                for sizes in _SIZES
            ),
        ]
        for deed in Deed
    ]
    requests = [
        [f"`{operation}`", *(_show(RESIZE[deed].get(operation, Requests(0))) for deed in Deed)]
        for operation in ("GetObject", "HeadObject", "PutObject", "DeleteObject")
    ]
    return f"""
## Replaced, repeated, deleted

{_markdown(["", *_columns()], rows)}

The model prices a repeated upload and a delete with the duration of a resize, although they take less. If S3 delivers
an event twice, the second event starts nothing with STANDARD. With EXPRESS it starts a run that has nothing to make.

The resize function sends these requests to S3, with *n* thumbnails. DELETE is free:

{_markdown(["", *(deed.value for deed in Deed)], requests)}
"""


def _the_api(facts: Facts) -> str:
    rows = [
        [
            f"a million `POST /resize`, {counted(sizes, 'thumbnail')}",
            _dollars(total(price_posts(_MILLION, sizes, facts.deployment, facts.measured), facts.table)),
        ]
        for sizes in _SIZES
    ]
    polls = total(price_polls(_MILLION, facts.deployment), facts.table)
    rows.append(["a million polls of `GET /executions/{executionId}`", _dollars(polls)])
    return f"""
## The API

{_markdown(["", "dollars"], rows)}

The API always uses STANDARD. The price of a POST includes the execution that it starts. The model assumes that a line
of the access log is as long as its format, {facts.deployment.access_log_bytes} bytes. `DescribeExecution` is free.
"""


def _what_is_there(facts: Facts) -> str:
    usd = {name: price.usd for name, price in facts.table.prices.items()}
    prices = reconcile.RunPrices(usd, asdict(facts.measured), facts.deployment.architecture)
    rows = [["plan: find a million keys in line", *[_dollars(prices.plan_dollars(_MILLION, _MILLION))] * 2]]
    strays = (
        prices.plan_dollars(_MILLION, _MILLION, sizes * _MILLION) - prices.plan_dollars(_MILLION, _MILLION)
        for sizes in _SIZES
    )
    rows.append(["plan with `--strays`: additional cost", *map(_dollars, strays)])
    for what, share in (("have no thumbnails", 1), ("are older than their original, or of another recipe", 0)):
        works = [
            reconcile.PlannedWork(_MILLION, sizes * _MILLION, share * _MILLION, share * sizes * _MILLION)
            for sizes in _SIZES
        ]
        rows.append([f"run: remake a million that {what}", *(_dollars(prices.dollars(work)) for work in works)])
    hours = prices.hours(reconcile.PlannedWork(_MILLION, _MILLION), CONCURRENCY)
    return f"""
## Pictures that are there already

The cost of [`make reconcile`](../README.md#pictures-that-are-there-already), with one and with five thumbnails each:

{_markdown(["", "1", "5"], rows)}

A plan reads the manifest of each key, which is the largest part of its price. Keys without a manifest cost less. With
{CONCURRENCY} pictures at the same time, the default, a million takes {hours:.0f} hours. This assumes that each picture
takes 0.3 s longer on AWS than it did here. A plan prints its own estimate of dollars and hours, from the same model
([`price.py`](../functions/reconcile/price.py)).
"""


def _notifications(facts: Facts) -> str:
    lines = price_notifications(_MILLION, facts.deployment)
    rows = [[f"{line.group}: {line.what}", _units(line.count), _dollars(line.dollars(facts.table))] for line in lines]
    rows.append(["**together**", "", f"**{_dollars(total(lines, facts.table))}**"])
    month = _dollars(total(price_notifications_month(facts.deployment), facts.table))
    express = _more(facts, alarms=1, metrics=1)
    https, email = (_dollars(_MILLION * facts.table.prices[name].usd) for name in ("sns_http", "sns_email"))
    return f"""
## Notifications

The cost of [`NotificationTopicArn`](../README.md#get-notified) for a million ended resizes. Without the parameter it
costs nothing:

{_markdown(["", "units", "dollars"], rows)}

[Events of AWS's services](https://aws.amazon.com/eventbridge/pricing/) are free. The duration is the median on the
local stack. SNS delivers to Lambda and SQS free of charge. A million messages by HTTPS cost {https}, and a million
e-mails {email}. The alarm and Lambda's polling of the queue add {month} a month. With EXPRESS the alarm also watches a
custom metric: {express}.
"""


def _a_month(facts: Facts) -> str:
    lines = price_month(facts.deployment)
    rows = [[f"{line.group}: {line.what}", _units(line.count), _dollars(line.dollars(facts.table))] for line in lines]
    rows.append(["**together**", "", f"**{_dollars(total(lines, facts.table))}**"])
    deployment = facts.deployment
    express, bucket = (_more(facts, alarms) for alarms in (deployment.express_alarms, deployment.bucket_alarms))
    schedule = _more(facts, deployment.schedule_alarms, deployment.schedule_metrics)
    with_bucket_key, without = (_dollars(total(key, facts.table)) for key in price_kms(Work(_MILLION)))
    query_gb = facts.table.prices["query_gb"].usd
    an_hour = _dollars(_MILLION / _HOURS_OF_A_MONTH * facts.measured.machine_log_bytes / 1e9 * query_gb, 5)
    return f"""
## Fixed costs of a month

{_markdown(["", "units", "dollars a month"], rows)}

- Metrics are billed only for the hours in which they have data, so a quiet month costs less.

- Lambda polls the queue even if there are no messages. The model assumes five pollers with long polls of 20 s, as AWS
  documents. This was not measured.

- The dashboard is free if it is one of the first three of an account, because it has no more than 50 metrics. Each time
  you open it, Logs Insights scans the log of the state machines for the displayed time range, at
  {_dollars(query_gb, 3)} a GB. At the default `WorkflowLogLevel` this log contains failures only. At `ALL` with data,
  and with a million uploads a month, each displayed hour costs {an_hour}.

- These parameters add alarms and metrics: `UploadWorkflow=EXPRESS` {express}, `ExistingOriginalsBucket` {bucket}, and
  `ReconcileSchedule` {schedule}, without the price of its plans. For `NotificationTopicArn` see
  [above](#notifications).

- `KmsKeyArn` adds {with_bucket_key} to a month with a million uploads: the key, and the requests that the S3 Bucket Key
  does not save. According to AWS these are at least 1 %. Without the Bucket Key it would be {without}.
"""


def _more(facts: Facts, alarms: int, metrics: int = 0) -> str:
    """Return what more metrics that alarms watch, and more custom metrics, cost in a month."""
    prices = facts.table.prices
    return _dollars(alarms * prices["alarm_month"].usd + metrics * prices["metric_month"].usd)


def _the_curve(facts: Facts) -> str:
    standard, express = (facts.curve(_CURVE, workflow) for workflow in WORKFLOWS)
    rows = [
        [f"{count:,}", _dollars(one), _dollars(other), _dollars(one - other)]
        for count, one, other in zip(_CURVE, standard, express, strict=True)
    ]
    seconds = break_even_seconds(facts.deployment, facts.measured, facts.table)
    one = Work(1.0)
    uploads, with_free, at_ten_seconds = (
        f"{break_even_uploads(work, facts.deployment, facts.measured, facts.table, free):,.0f}"
        for work, free in ((one, 0), (one, _FREE_TRANSITIONS), (replace(one, resize_seconds=10.0), 0))
    )
    more = _more(facts, facts.deployment.express_alarms)
    return f"""
## Uploads a month, and when EXPRESS is cheaper

![Dollars a month by uploads a month](cost.png)

Dollars a month with one thumbnail each, including the fixed costs of a month:

{_markdown(["uploads a month", "STANDARD", "EXPRESS", "saved by EXPRESS"], rows)}

With EXPRESS, an alarm watches one more metric, for {more} a month. So **EXPRESS is cheaper from {uploads} uploads a
month on**. With the permanent free tier of {_FREE_TRANSITIONS:,} transitions a month, which is not subtracted here, it
is cheaper from {with_free} on. Both numbers are for a resize of {facts.measured.resize_ms:.0f} ms, and they grow with
its duration: at 10 s the first is {at_ten_seconds}. From {seconds:.0f} s on, EXPRESS is never cheaper, because the run,
and the function that waits for it, are billed for their whole duration. For its higher price, STANDARD lists each
upload in the console, returns its status by id for 90 days, and allows redrive.
"""


def _peers(facts: Facts) -> str:
    rows = [
        [
            f"this pipeline, {workflow}",
            *(_dollars(facts.dollars(Work(_MILLION, sizes), workflow)) for sizes in _SIZES),
            "everything above except the fixed costs of a month",
        ]
        for workflow in WORKFLOWS
    ]
    rows += [
        [
            f"[{peer.name}]({peer.page})",
            *(_dollars(peer.dollars(_MILLION, sizes)) for sizes in _SIZES),
            f"{_dollars(peer.usd * 1000)} for 1,000: {peer.unit}. {peer.note} Confirmed: {peer.confirmed}.",
        ]
        for peer in facts.table.peers
    ]
    return f"""
## The same work elsewhere

The cost of a million originals with one or with five thumbnails each, each made once. The services differ: they also
deliver pictures, which some figures include and others do not. And they make a thumbnail only when somebody requests
it.

{_markdown(["", "1", "5", "how it is counted"], rows)}
"""


def _not_in_here(facts: Facts) -> str:
    stored, out = (facts.table.prices[name].usd for name in ("s3_gb_month", "transfer_out_gb"))
    events = _dollars(_MILLION * facts.table.prices["eventbridge_event"].usd)
    originals, thumbnails = (_dollars(_MILLION * size * stored) for size in (_ORIGINAL_GB, _THUMBNAIL_GB))
    return f"""
## Not included

- **Storage**: {_dollars(stored, 3)} for each GB and month. A million photographs of 3.5 MB are {originals} a month,
  their thumbnails of 128 pixels with the manifests (5 KB for each original) {thumbnails}. Replaced and deleted
  originals are kept for `NoncurrentVersionDays`.

- **Transfer out** to the internet: {_dollars(out)} for each GB. Between S3 and Lambda in one region it is free.

- **EventBridge** with `ExistingOriginalsBucket`: {events} for a million events of that bucket. Events outside
  `OriginalsPrefix` count as well.

- **Failures and retries**: a refused picture costs as much as an upload without its thumbnails. Each retry is one more
  transition and one more invocation.

- **Cold starts**: Lambda bills one for each sandbox that it creates, about one for each concurrent invocation.

- **Multipart uploads**: clients send large files in parts, and each part is a PUT.

- **CloudFront** with `Delivery=CLOUDFRONT`: requests and transfer, depending on what is viewed.

- Taxes, support plans, discounts, and other regions. The prices of most regions are within a fifth of these.
"""


def _prices(facts: Facts) -> str:
    rows = [
        [f"[{price.unit}]({price.page})", f"{price.usd:.10f}".rstrip("0").rstrip("."), price.confirmed, price.how]
        for price in facts.table.prices.values()
    ]
    return f"""
## Prices

List prices of {facts.table.region} in US dollars for one unit. {facts.table.note}

{_markdown(["unit", "dollars", "confirmed", "how"], rows)}
"""


def _columns() -> list[str]:
    return [f"{workflow}, {sizes}" for workflow in WORKFLOWS for sizes in _SIZES]


def _wrap(text: str) -> str:
    """Wrap paragraphs and list items at the width of the other documents, without empty lines between list items."""
    blocks = []
    for block in text.strip().split("\n\n"):
        if block.startswith(("|", "#", "!")):
            blocks.append(block)
        else:
            indent = "  " if block.startswith("- ") else ""
            line = " ".join(block.split())
            blocks.append(
                fill(line, _PAGE_WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
            )
    return re.sub(r"(?m)(^(?:- |  ).*)\n\n(?=- )", r"\1\n", "\n\n".join(blocks))


def _side_by_side(columns: Sequence[Sequence[Line]], table: PriceTable) -> list[list[str]]:
    """Return one row for each line of any column, with the units of the first column, and a row of totals."""
    keys = list(dict.fromkeys((line.group, line.what) for lines in columns for line in lines))
    # Groups are in the order of their first line.
    groups = list(dict.fromkeys(group for group, _ in keys))
    keys.sort(key=lambda key: groups.index(key[0]))
    rows = []
    for key in keys:
        found = [next((line for line in lines if (line.group, line.what) == key), None) for lines in columns]
        units = _units(found[0].count) if found[0] else ""
        rows.append([": ".join(key), units, *(_dollars(line.dollars(table)) if line else "" for line in found)])
    rows.append(["together", "", *(_dollars(total(lines, table)) for lines in columns)])
    return rows


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # Align numbers to the right, and text to the left.
    sides = ["---" if any(" " in row[column] for row in rows) else "---:" for column in range(len(heads))]
    sides[0] = "---"
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, sides, *rows])


def _dollars(value: float, digits: int = 2) -> str:
    return f"${value:,.{digits}f}"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _units(count: float) -> str:
    return f"{count:,.0f}" if count >= _WHOLE else f"{count:,.2f}".rstrip("0").rstrip(".")


def _show(requests: Requests) -> str:
    parts = ["*n*" if requests.per_thumbnail else "", str(requests.per_original or "")]
    return " + ".join(filter(None, parts)) or "0"
