"""The demo: upload photographs with `aws s3 cp`, post others with `curl`, and draw originals and thumbnails.

The photographs come from the scikit-image package: Eileen Collins by NASA (public domain), Chelsea the cat by
Stéfan van der Walt (CC0), coffee at Pikolo Espresso Bar by Rachel Michetti (CC0), the launch of DSCOVR by
SpaceX (public domain).
"""

import io
import json
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError
from PIL import Image, ImageDraw, ImageFont, ImageOps

from local.amounts import counted
from local.stack import ROOT, Settings, Stack, StackError, functions_log, shown

_PHOTOGRAPHS = ROOT / ".tools" / "photos" / "skimage" / "data"
_WAIT_SECONDS = 60.0

_ROTATED_RIGHT = 6
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the table: a thumbnail and the execution that made it."""

    execution: str
    original: str
    original_size: str
    way_in: str
    status: str
    thumbnail: str
    size: str
    bytes: int
    milliseconds: int


def run(settings: Settings, say: Callable[[str], None]) -> int:
    """Run the demo; return the exit status, which is 0 only if all thumbnails exist.

    Raises
    ------
    StackError
        The stack cannot be started, or a tool failed.
    """
    stack = Stack(settings, say)
    stack.up()
    outputs = stack.outputs()
    folder = settings.state / "demo"
    folder.mkdir(exist_ok=True)
    photographs = _prepare(folder)

    before = _executions(settings, outputs["StateMachineArn"])
    target = f"s3://{outputs['OriginalsBucketName']}/demo/"
    for photograph in photographs:
        say(shlex.join(["aws", "s3", "cp", photograph.name, target]))
        stack.aws("s3", "cp", "--only-show-errors", str(photograph), target)
    posted: dict[str, Any] = {
        "source_bucket": outputs["OriginalsBucketName"],
        "destination_bucket": outputs["ThumbnailsBucketName"],
        "object_key": f"demo/{photographs[1].name}",
        "sizes": [{"width": 320, "height": 180}, {"width": 200, "height": 200}],
        "fit": "cover",
        "format": "webp",
    }
    _post(settings, posted, say)

    rows, thumbnails = _wait(settings, outputs["StateMachineArn"], before, len(photographs) + 1, say)
    _print_table(rows)
    _show_manifest(settings, outputs["ThumbnailsBucketName"], posted["object_key"], say)
    say("ms is the duration of the execution. The first ones include a cold start of the function.")
    picture = folder / "thumbnails.png"
    _draw({photograph.name: photograph for photograph in photographs}, thumbnails, picture)
    failed = [row for row in rows if row.status != "SUCCEEDED"]
    unfinished = len(photographs) + 1 - len({row.execution for row in rows})
    if failed or unfinished:
        say(f"{counted(len(failed), 'execution')} failed, and {unfinished} did not end in time.")
        say(f"Next: read the log, {shown(functions_log(settings.state))}")
        return 1
    say(f"All {len(thumbnails)} thumbnails are there. Originals and thumbnails side by side: {shown(picture)}")
    say(f"The stack still runs. Next: view them and add your own pictures at {settings.gallery}, or make down")
    return 0


def _prepare(folder: Path) -> list[Path]:
    if not _PHOTOGRAPHS.is_dir():
        raise StackError("The demo's photographs are not installed. Run: make setup")
    paths = []
    for name in ("astronaut.png", "chelsea.png", "rocket.jpg"):
        path = folder / name
        path.write_bytes((_PHOTOGRAPHS / name).read_bytes())
        paths.append(path)
    # A phone that is held upright stores the picture sideways, with its orientation in the Exif data.
    exif = Image.Exif()
    exif[_ORIENTATION] = _ROTATED_RIGHT
    lying = folder / "stored sideways.jpg"
    with Image.open(_PHOTOGRAPHS / "coffee.png") as coffee:
        coffee.transpose(Image.Transpose.ROTATE_90).save(lying, quality=92, exif=exif)
    return [*paths, lying]


def _post(settings: Settings, body: dict[str, Any], say: Callable[[str], None]) -> None:
    command = ["curl", settings.api, "--header", "Content-Type: application/json", "--data", json.dumps(body)]
    if settings.parameters.get("ApiAuthorization") == "AWS_IAM":
        keys = settings.environment()
        command += ["--aws-sigv4", f"aws:amz:{keys['AWS_REGION']}:execute-api"]
        command += ["--user", f"{keys['AWS_ACCESS_KEY_ID']}:{keys['AWS_SECRET_ACCESS_KEY']}"]
    say(shlex.join(command))
    done = subprocess.run(  # noqa: S603 - the command is ours
        [*command, "--silent", "--show-error", "--fail-with-body"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise StackError(f"The request was refused: {done.stdout or done.stderr}")


def _executions(settings: Settings, machine: str) -> dict[str, str]:
    pages = settings.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=machine)
    return {execution["executionArn"]: execution["status"] for page in pages for execution in page["executions"]}


def _wait(
    settings: Settings, machine: str, before: dict[str, str], expected: int, say: Callable[[str], None]
) -> tuple[list[_Row], list[tuple[str, str, bytes]]]:
    deadline = time.monotonic() + _WAIT_SECONDS
    seen = -1
    while True:
        new = {arn: status for arn, status in _executions(settings, machine).items() if arn not in before}
        ended = [arn for arn, status in new.items() if status != "RUNNING"]
        if len(ended) != seen:
            seen = len(ended)
            say(f"Executions ended: {seen} of {expected}")
        if seen >= expected or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    rows: list[_Row] = []
    thumbnails: list[tuple[str, str, bytes]] = []
    for arn in ended:
        _collect(settings, arn, rows, thumbnails)
    rows.sort(key=lambda row: (row.way_in, row.original, row.thumbnail))
    return rows, thumbnails


def _collect(settings: Settings, arn: str, rows: list[_Row], thumbnails: list[tuple[str, str, bytes]]) -> None:
    execution = settings.client("stepfunctions").describe_execution(executionArn=arn)
    request = json.loads(execution["input"])
    name = request["object_key"].rpartition("/")[2]
    took = round((execution["stopDate"] - execution["startDate"]).total_seconds() * 1000)
    way_in = "POST" if execution["name"].startswith("api-") else "s3 cp"
    if execution["status"] != "SUCCEEDED":
        reason = f"{execution.get('error', '')}: {execution.get('cause', '')}"
        rows.append(_Row(arn, name, "", way_in, execution["status"], reason, "", 0, took))
        return
    result = json.loads(execution["output"])
    source = result["source"]
    for made in result["thumbnails"]:
        data = settings.client("s3").get_object(Bucket=made["bucket"], Key=made["key"])["Body"].read()
        size = f"{made['width']}x{made['height']}"
        thumbnails.append((name, made["key"], data))
        original_size = f"{source['format']} {source['width']}x{source['height']}"
        rows.append(_Row(arn, name, original_size, way_in, execution["status"], made["key"], size, len(data), took))


def _print_table(rows: list[_Row]) -> None:
    head = ("original", "read as", "way in", "execution", "thumbnail", "pixels", "bytes", "ms")
    lines = [head] + [
        (
            *(row.original, row.original_size, row.way_in, row.status, row.thumbnail, row.size),
            *(f"{row.bytes:,}", f"{row.milliseconds:,}"),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    numbers_from = len(head) - 2
    print()
    for index, line in enumerate(lines):
        cells = [
            cell.rjust(width) if column >= numbers_from else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
        if index == 0:
            print("  " + "  ".join("─" * width for width in widths))
    print()


def _show_manifest(settings: Settings, bucket: str, key: str, say: Callable[[str], None]) -> None:
    """Print the placeholder and the number of thumbnails in the manifest of an original."""
    name = f"manifests/{key}.json"
    try:
        stored = settings.client("s3").get_object(Bucket=bucket, Key=name)
    except ClientError as error:
        raise StackError(f"s3://{bucket}/{name} cannot be read: {error}. See the function log.") from error
    manifest = json.load(stored["Body"])
    placeholder = manifest["placeholder"]
    say(
        f"{name}: {counted(len(manifest['thumbnails']), 'thumbnail')}; until one has loaded, show "
        f"{placeholder['colour']} or the ThumbHash {placeholder['thumbhash']}"
    )


def _draw(originals: dict[str, Path], thumbnails: list[tuple[str, str, bytes]], picture: Path) -> None:
    height, gap, line = 260, 24, 22
    font = ImageFont.load_default(15)
    rows = []
    for name, path in originals.items():
        with Image.open(path) as original:
            # Draw it as stored, so that the upright thumbnail shows what the pipeline did.
            stored = original.convert("RGB")
        cells = [(f"{name}  {stored.width}x{stored.height} as stored", ImageOps.contain(stored, (400, height)))]
        for of, key, data in sorted(thumbnails, key=lambda made: made[1]):
            if of == name:
                with Image.open(io.BytesIO(data)) as thumbnail:
                    made = thumbnail.convert("RGB")
                cells.append((f"{unquote(key.rpartition('/')[2])}  {len(data):,} bytes", made))
        rows.append(cells)
    widths = [sum(max(image.width, int(font.getlength(text))) + gap for text, image in cells) + gap for cells in rows]
    sheet = Image.new("RGB", (max(widths), (height + line + gap) * len(rows) + gap), "white")
    draw = ImageDraw.Draw(sheet)
    top = gap
    for cells in rows:
        left = gap
        for text, image in cells:
            draw.text((left, top), text, "black", font)
            sheet.paste(image, (left, top + line))
            left += max(image.width, int(font.getlength(text))) + gap
        top += height + line + gap
    sheet.save(picture)
