"""The gallery as a person uses it, in a real browser."""

# ruff: noqa: RUF001 - the page writes sizes with a multiplication sign

import base64
import io
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog, FilePayload, Locator, Page, expect

from functions.resize.placeholder import make_placeholder
from local.processes import free_ports
from local.stack import ROOT, Settings, Stack
from tests.e2e.browser import chromium
from tests.e2e.pipeline import UPLOAD_SIZES, Pipeline, photograph
from tests.thumbhash import decode
from tests.waiting import wait_for

# How long an upload may take on a busy machine, in milliseconds.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
PHOTOGRAPHS = ROOT / ".tools" / "photos" / "skimage" / "data"
TOO_PALE = (Path(__file__).parent / "too_pale.js").read_text(encoding="utf-8")
MARKUP = "<img src=x onerror=alert(1)>"
AWKWARD = [
    "a b.jpg",
    'it\'s "quoted".jpg',
    f"{MARKUP}.jpg",
    "&lt;b&gt;&amp;.jpg",
    "#1 50%41?x=1&key=other.jpg",
    "back\\slash\\n.jpg",
    "😀 é e\u0301.jpg",
    "$(touch x) `touch x` !!.jpg",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Open the gallery; fail if the page has an error, breaks its own policy or shows a box of a script's."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []

    def close(dialog: Dialog) -> None:
        wrong.append(f"a script said {dialog.message!r}")
        dialog.dismiss()

    page.on("dialog", close)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # What the browser itself says of pictures and answers that it did not like is part of what is tested.
    page.on("console", lambda said: wrong.append(said.text) if "Failed to load" not in said.text else None)
    page.goto(address)
    # The page writes the summary last; before that it may miss clicks and overwrite the folder.
    expect(page.locator("#summary")).not_to_be_empty()
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def page(browser: Browser, pipeline: Pipeline) -> Iterator[Page]:
    with opened(browser, pipeline.settings.gallery) as page:
        yield page


def card_of(page: Page, key: str) -> Locator:
    """Return the card whose heading is a key, to the letter."""
    return page.locator("article").filter(has=page.get_by_role("heading", name=key, exact=True))


def expect_state(card: Locator, state: str) -> None:
    expect(card.locator(".badge")).to_have_text(state)


def drop(page: Page, name: str, content: bytes) -> None:
    """Drop a file on the page, as a file manager does."""
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
            return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", event, {"dataTransfer": transfer})


def file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def loaded(pictures: Locator) -> list[tuple[int, int]]:
    """Wait until pictures have loaded and return their own sizes."""

    def sizes() -> list[tuple[int, int]]:
        # They load when they are about to be seen. In one step with the sizes, because the page draws them anew.
        script = "all => { all.at(-1)?.scrollIntoView(); return all.map(e => [e.naturalWidth, e.naturalHeight]) }"
        return [tuple(each) for each in pictures.evaluate_all(script)]

    return wait_for(lambda: found if (found := sizes()) and all(map(all, found)) else [], "the pictures")


def test_a_dropped_picture_becomes_thumbnails(page: Page, pipeline: Pipeline) -> None:
    key = "dropped/rocket.jpg"
    page.get_by_label("Folder").fill("dropped")
    page.get_by_label("Filter by key").fill(key)
    # Otherwise the first badge may be that of another card.
    expect(page.locator("#pictures article")).to_have_count(0)
    page.evaluate("""() => {
        window.states = [];
        new MutationObserver(() => {
            const badge = document.querySelector("#pictures .badge");
            if (badge && window.states.at(-1) !== badge.textContent) window.states.push(badge.textContent);
        }).observe(document.getElementById("pictures"), { subtree: true, childList: true, characterData: true });
    }""")
    card = card_of(page, key)
    # Otherwise the picture may be ready before the page looks for the first time.
    with pipeline.held_uploads():
        drop(page, "rocket.jpg", photograph(400, 300))
        expect_state(card, "Waiting")
    expect_state(card, "Ready")
    assert page.evaluate("window.states") in (["Waiting", "Ready"], ["Waiting", "Working", "Ready"])
    expect(page.locator("#progress")).to_have_text("Uploaded 1 of 1.")

    manifest = pipeline.manifest_of(key)
    expect(card.locator(".about")).to_have_text(f"JPEG · 400 × 300 · {len(photograph(400, 300)):,} bytes")
    assert loaded(card.locator(".original img")) == [(400, 300)]
    assert loaded(card.locator(".thumbnails img")) == [(64, 48), (128, 96)]
    expect(card.locator(".thumbnails li")).to_have_text(
        [f"{made['width']} × {made['height']}JPEG · {made['bytes']:,} bytesrecipe" for made in manifest["thumbnails"]]
    )
    expect(card.locator(".executions li")).to_have_text([re.compile(r"Upload SUCCEEDED after \d+\.\d\d s$")])
    expect(card.locator(".placeholder")).to_contain_text(manifest["placeholder"]["colour"])
    card.get_by_text("Manifest").click()
    assert json.loads(card.locator(".manifest pre").inner_text()) == manifest
    card.get_by_text("Log").click()
    expect(card.locator(".log pre")).to_contain_text('"message":"resized"')


def test_a_file_that_is_no_picture_fails_with_its_sentence(page: Page, pipeline: Pipeline) -> None:
    page.get_by_label("Folder").fill("broken/")
    page.get_by_label("Choose files").set_input_files(
        [file("letter.jpg", b"a letter"), file("whole.jpg", photograph())]
    )

    card = card_of(page, "broken/letter.jpg")
    expect_state(card, "Failed")

    ended = pipeline.end_of_upload("broken/letter.jpg")
    expect(card.locator(".failure")).to_have_text(f"{ended['error'].removeprefix('Permanent.')}: {ended['cause']}")
    expect(card.locator(".executions li")).to_have_text([re.compile("Upload FAILED after")])
    expect(card.locator(".original")).to_have_text("This browser cannot show this original")

    expect_state(card_of(page, "broken/whole.jpg"), "Ready")
    page.get_by_label("Filter by key").fill("BROKEN/")
    page.get_by_label("Failed").check()
    expect(page.locator("#pictures h3")).to_have_text(["broken/letter.jpg"])
    expect(page.locator("#summary")).to_contain_text("The filter shows 1.")
    page.get_by_label("Ready").check()
    expect(page.locator("#pictures h3")).to_have_text(["broken/whole.jpg"])


def test_a_picture_is_replaced_and_deleted(page: Page, pipeline: Pipeline) -> None:
    key = "changed/a.jpg"
    pipeline.upload(key, photograph(400, 300))
    card = card_of(page, key)
    expect_state(card, "Ready")

    with page.expect_file_chooser() as chooser:
        card.get_by_role("button", name="Replace").click()
    chooser.value.set_files([file("another name.jpg", photograph(300, 400))])

    expect(card.locator(".about")).to_contain_text("300 × 400")
    expect(card.locator(".thumbnails .size")).to_have_text(["48 × 64", "72 × 96"])
    assert loaded(card.locator(".thumbnails img")) == [(48, 64), (72, 96)]
    assert loaded(card.locator(".original img")) == [(300, 400)]

    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert pipeline.stored_for(key) != []
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(card).to_have_count(0)
    assert pipeline.stored_for(key) == []
    assert "Contents" not in pipeline.s3.list_objects_v2(Bucket=pipeline.originals, Prefix=key)


def paste(command: str) -> Any:
    """Run a command in a shell as it was copied from the page, and return the JSON that it prints."""
    done = subprocess.run(  # noqa: S603 - shown by our own page
        ["bash", "-c", command.replace("curl ", "curl --silent --show-error ", 1)],  # noqa: S607 - the system's bash
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_another_size_is_posted_by_the_form_and_by_the_command_it_shows(page: Page, pipeline: Pipeline) -> None:
    key = f'sizes/it\'s "1" \\n $(touch x) `x` {MARKUP} 😀.jpg'
    pipeline.upload(key, photograph())
    card = card_of(page, key)
    expect_state(card, "Ready")

    card.get_by_role("button", name="Another size").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Width").fill("50")
    dialog.get_by_label("Height").fill("40")
    dialog.get_by_label("Fit").select_option("cover")
    dialog.get_by_label("webp").check()
    dialog.get_by_label("jpeg").check()
    dialog.get_by_label("Quality").fill("70")
    command = dialog.locator("#command").inner_text()
    with page.expect_response("**/api/resize") as posted:
        dialog.get_by_role("button", name="Send").click()
    result = dialog.locator("#result")
    expect(result).to_contain_text("Made:")
    expect(result.locator("li")).to_have_text([re.compile("50x40-cover_"), re.compile("50x40-cover_.*webp$")])

    by_page = pipeline.end_of(posted.value.json()["executionArn"])
    by_command = pipeline.end_of(paste(command)["executionArn"])
    assert command.startswith(f"curl {pipeline.settings.api} \\\n")
    assert by_page["input"] == by_command["input"]
    assert json.loads(by_page["input"]) == pipeline.request(
        key, width=50, height=40, fit="cover", formats=["jpeg", "webp"], quality=70
    )
    assert by_command["status"] == "SUCCEEDED"

    dialog.get_by_role("button", name="Close").click()
    expect(card.locator(".thumbnails li").filter(has_text="request")).to_have_count(2)


def test_what_the_api_refuses_is_said_in_the_form(page: Page, pipeline: Pipeline) -> None:
    key = "refused/a.jpg"
    pipeline.upload(key, photograph())
    card = card_of(page, key)
    expect_state(card, "Ready")

    card.get_by_role("button", name="Another size").click()
    # Only now: the card disappears with its original.
    pipeline.s3.delete_object(Bucket=pipeline.originals, Key=key)
    page.get_by_role("button", name="Send").click()

    expect(page.locator("#result")).to_contain_text("OriginalNotFoundError")
    # As if the page let it through.
    width = page.get_by_role("dialog").get_by_label("Width")
    width.evaluate("input => { input.max = 99999; }")
    width.fill("20000")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#result")).to_contain_text("width")


def test_awkward_keys_are_text_and_nothing_else(page: Page, pipeline: Pipeline) -> None:
    for name in AWKWARD:
        pipeline.upload(f"awkward/{name}", photograph())
    # The message of this failure repeats the key.
    pipeline.upload(f"awkward/../{MARKUP}", photograph())
    page.get_by_label("Filter by key").fill("awkward/")

    for name in AWKWARD:
        card = card_of(page, f"awkward/{name}")
        expect_state(card, "Ready")
        assert loaded(card.locator("img")) == [(400, 300), (64, 48), (128, 96)]
    refused = card_of(page, f"awkward/../{MARKUP}")
    expect_state(refused, "Failed")
    expect(refused.locator(".failure")).to_contain_text(MARKUP)

    assert page.locator("[onerror], img[src=x]").count() == 0
    card = card_of(page, f"awkward/{AWKWARD[0]}")
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


def test_a_file_with_an_awkward_name_is_uploaded_under_it(page: Page, pipeline: Pipeline) -> None:
    name = "it's 50% #1 & <b>😀</b>.jpg"
    page.get_by_label("Folder").fill("awkward names/")

    drop(page, name, photograph())

    expect_state(card_of(page, f"awkward names/{name}"), "Ready")
    assert pipeline.stored_for(f"awkward names/{name}") != []


class Keyboard:
    """A person who uses the page without a mouse."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.press = page.keyboard.press
        self.type = page.keyboard.type

    def focused(self) -> str:
        """Return the name of what has the focus, after a look at whether a person can see it."""
        name, outline = self._page.evaluate("""() => {
            const one = document.activeElement;
            const shown = [one, one.closest("label"), one.nextElementSibling].filter(Boolean);
            const name = one.ariaLabel || one.labels?.[0]?.innerText || one.innerText;
            return [name.trim(), shown.some((each) => getComputedStyle(each).outlineStyle === "solid")];
        }""")
        assert outline, f"{name} has the focus and does not show it"
        return str(name)

    def tab_to(self, wanted: str) -> None:
        """Go on until something whose name begins like that has the focus."""
        for _ in range(12):
            self.press("Tab")
            if self.focused().startswith(wanted):
                return
        pytest.fail(f"{wanted} is not reached")


def test_everything_is_reached_by_the_keyboard(page: Page, pipeline: Pipeline) -> None:
    key = "keyboard/a.jpg"
    pipeline.upload(key, photograph())
    expect_state(card_of(page, key), "Ready")
    keyboard = Keyboard(page)
    # Listening from the start: it may take longer to begin than a key takes to open the chooser.
    page.on("filechooser", lambda chooser: chooser.set_files([file("b.jpg", photograph())]))

    keyboard.press("Tab")
    assert keyboard.focused() == "Skip to the pictures"
    keyboard.tab_to("Folder")
    keyboard.type("keyboard")
    keyboard.tab_to("Choose files")
    keyboard.press("Enter")
    expect_state(card_of(page, "keyboard/b.jpg"), "Ready")
    keyboard.tab_to("Filter by key")
    keyboard.type(key)
    expect(page.locator("#pictures h3")).to_have_text([key])
    keyboard.tab_to("All")
    keyboard.press("ArrowRight")
    assert keyboard.focused().startswith("Ready")
    keyboard.press("ArrowLeft")
    assert keyboard.focused().startswith("All")
    keyboard.tab_to(f"Open the original {key}")
    keyboard.tab_to("Manifest")
    keyboard.press("Enter")
    keyboard.tab_to(f"manifest of {key}")
    keyboard.tab_to(f"Another size… {key}")
    keyboard.press("Enter")
    assert keyboard.focused() == "Width"
    keyboard.press("Control+A")
    keyboard.type("33")
    keyboard.press("Enter")
    expect(page.locator("#result")).to_contain_text("33x200")
    keyboard.press("Escape")
    assert keyboard.focused() == f"Another size… {key}"
    # The card was brought up to date meanwhile, and the keyboard is where it was.
    expect(card_of(page, key).locator(".thumbnails li")).to_have_count(3)
    assert keyboard.focused() == f"Another size… {key}"
    keyboard.tab_to(f"Replace… {key}")
    keyboard.tab_to(f"Delete… {key}")
    keyboard.press("Enter")
    assert keyboard.focused() == "Cancel"
    keyboard.press("Shift+Tab")
    keyboard.press("Enter")
    expect(card_of(page, key)).to_have_count(0)
    expect(page.locator("#pictures")).to_be_focused()


def test_cards_of_any_content_stand_in_full_rows(browser: Browser, pipeline: Pipeline) -> None:
    contents = {
        "rows/tall.jpg": photograph(60, 900),
        "rows/wide.jpg": photograph(1600, 200),
        "rows/many.jpg": photograph(1200, 800),
        "rows/letter.jpg": b"a letter",
        "rows/small.jpg": photograph(3, 3),
    }
    for key, content in contents.items():
        pipeline.upload(key, content)
        pipeline.end_of_upload(key)
    sizes = [{"width": side, "height": side} for side in range(100, 900, 100)]
    posted = pipeline.post(pipeline.request("rows/many.jpg", sizes=sizes, formats=["jpeg", "webp"]))
    assert pipeline.end_of(posted.body["executionArn"])["status"] == "SUCCEEDED"

    with opened(browser, pipeline.settings.gallery, viewport={"width": 860, "height": 900}) as page:
        page.get_by_label("Filter by key").fill("rows/")
        expect(page.locator("#pictures h3")).to_have_count(len(contents))
        expect(card_of(page, "rows/many.jpg").locator(".thumbnails li")).to_have_count(2 + 2 * len(sizes))
        # Browsers do not load a lazy picture that lies outside the clipped card.
        assert loaded(card_of(page, "rows/wide.jpg").locator(".original img")) == [(1600, 200)]
        cards = page.locator("article").evaluate_all(
            """cards => cards.map((card) => {
                const { x, y, height } = card.getBoundingClientRect();
                return { x, y, height, buttons: card.querySelector(".body > .buttons").getBoundingClientRect().y };
            })"""
        )

    # The page's order, which is that of the keyboard, is row by row.
    assert cards == sorted(cards, key=lambda card: (card["y"], card["x"]))
    rows = [[card for card in cards if card["y"] == y] for y in dict.fromkeys(card["y"] for card in cards)]
    assert [len(row) for row in rows] == [2, 2, 1]
    for row in rows:
        assert len({(card["height"], card["buttons"]) for card in row}) == 1, row
    assert max(card["height"] for card in cards) < 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_and_the_dark(browser: Browser, pipeline: Pipeline, scheme: str) -> None:
    long = f"narrow/{'a-very-long-name-without-a-space' * 4}.jpg"
    pipeline.upload(long, photograph(1600, 200))
    pipeline.upload("narrow/letter.jpg", b"a letter")

    viewport = {"width": 360, "height": 740}
    with opened(browser, pipeline.settings.gallery, viewport=viewport, color_scheme=scheme) as page:
        page.get_by_label("Filter by key").fill("narrow/")
        expect_state(card_of(page, long), "Ready")
        expect_state(card_of(page, "narrow/letter.jpg"), "Failed")
        expect(page.locator("#pictures h3")).to_have_count(2)
        for summary in page.locator("summary").all():
            summary.click()

        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert too_pale(page) == []
        card_of(page, long).get_by_role("button", name="Another size").click()
        dialog = page.get_by_role("dialog")
        assert page.evaluate("document.getElementById('resize').scrollWidth") <= 360
        dialog.get_by_role("button", name="Send").click()
        expect(page.locator("#result")).to_contain_text("Made:")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert too_pale(page) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert (max(map(int, re.findall(r"\d+", background))) < 60) == (scheme == "dark")


def too_pale(page: Page) -> list[str]:
    """Return the visible texts with too little contrast."""
    found: list[str] = page.evaluate(TOO_PALE)
    return found


@pytest.mark.parametrize("kind", ["landscape", "portrait", "transparent", "one pixel"])
def test_the_page_decodes_a_thumbhash_as_the_format_says(page: Page, kind: str) -> None:
    with Image.open(io.BytesIO(photograph(400, 300))) as picture:
        pictures = {
            "landscape": picture.resize((400, 300)),
            "portrait": picture.rotate(90, expand=True).resize((150, 400)),
            "transparent": picture.convert("RGBA"),
            "one pixel": Image.new("RGB", (1, 1), "orange"),
        }
    pictures["transparent"].putalpha(Image.linear_gradient("L").resize((400, 300)))
    thumbhash = make_placeholder(pictures[kind]).thumbhash

    shown = page.evaluate(
        """async (hash) => {
            const { width, height, pixels } = (await import("/thumbhash.js")).decode(hash);
            return { width, height, pixels: [...pixels] };
        }""",
        thumbhash,
    )

    expected = decode(thumbhash)
    assert (shown["width"], shown["height"]) == (len(expected.pixels[0]), len(expected.pixels))
    levels = [255 * min(1.0, max(0.0, level)) for row in expected.pixels for pixel in row for level in pixel]
    assert max(abs(one - other) for one, other in zip(shown["pixels"], levels, strict=True)) <= 0.51


class _Foreign(BaseHTTPRequestHandler):
    """A page of another origin on this machine, whose address the browser counts to the same site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Foreign</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_page_of_another_origin_can_neither_write_nor_look(browser: Browser, pipeline: Pipeline) -> None:
    key = "foreign/a.jpg"
    pipeline.upload(key, photograph())
    pipeline.end_of_upload(key)
    executions = pipeline.executions_of(key)
    gallery = pipeline.settings.gallery

    # With threads, because a browser may hold a connection open on which it sends nothing.
    with ThreadingHTTPServer(("127.0.0.1", 0), _Foreign) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        done = page.evaluate(
            """async ([gallery, key]) => {
                const original = `${gallery}originals?key=${encodeURIComponent(key)}`;
                const send = (options) => fetch(original, options).then(() => "sent", () => "refused");
                const image = new Promise((resolve) => {
                    const one = new Image();
                    one.onload = () => resolve("seen");
                    one.onerror = () => resolve("unseen");
                    one.src = original;
                });
                const body = JSON.stringify({ object_key: key });
                await fetch(`${gallery}api/resize`, { method: "POST", mode: "no-cors", body }).catch(() => null);
                const sent = [{ method: "DELETE" }, { method: "PUT", body: "x" }, {}].map(send);
                return [...(await Promise.all(sent)), await image];
            }""",
            [gallery, key],
        )
        page.close()
        server.shutdown()

    assert done == ["refused", "refused", "refused", "unseen"]
    assert pipeline.s3.get_object(Bucket=pipeline.originals, Key=key)["Body"].read() == photograph()
    assert pipeline.executions_of(key) == executions


@pytest.fixture(scope="module")
def other() -> Iterator[Pipeline]:
    """Deploy with the other value of both parameters that the gallery shows."""
    parameters = {"ApiAuthorization": "AWS_IAM", "UploadWorkflow": "EXPRESS", "OriginalsPrefix": "photos/"}
    state = ROOT / ".local" / "e2e-gallery"
    aws_port, api_port, gallery_port = free_ports(3)
    stack = Stack(Settings(aws_port, api_port, state, parameters, gallery_port=gallery_port))
    stack.down()
    try:
        stack.up()
        yield Pipeline(stack)
    finally:
        stack.down()


def test_with_express_workflows_and_a_signed_api(browser: Browser, other: Pipeline) -> None:
    with opened(browser, other.settings.gallery) as page:
        expect(page.locator("#note")).to_contain_text("Step Functions does not list")
        expect(page.get_by_label("Folder")).to_have_value("photos/")
        names = ("a.jpg", "letter.jpg")
        page.get_by_label("Choose files").set_input_files(
            [file(name, content) for name, content in zip(names, (photograph(), b"a letter"), strict=True)]
        )
        card, letter = (card_of(page, f"photos/{name}") for name in names)
        expect_state(card, "Ready")
        expect(card.locator(".executions li")).to_have_count(0)
        expect_state(letter, "Failed")
        expect(letter.locator(".failure")).to_contain_text("NotAnImageError: ")
        log = f"{other.settings.gallery}api/log"
        # The page reads the log once, and the function's line is stored after its manifest.
        wait_for(
            lambda: "NotAnImageError" in page.request.get(log, params={"key": "photos/letter.jpg"}).text(),
            "the line of the letter in the log",
        )
        letter.get_by_text("Log").click()
        expect(letter.locator(".log pre")).to_contain_text("NotAnImageError")

        card.get_by_role("button", name="Another size").click()
        command = page.locator("#command").inner_text()
        assert "--aws-sigv4 aws:amz:us-east-1:execute-api --user test:test" in command
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#result")).to_contain_text("320x200")
        assert "executionId" in paste(command)
        assert paste(command.replace("test:test", "test:wrong"))["error"]
        expect(card.locator(".executions li").first).to_contain_text("Request SUCCEEDED")

        # Outside of the prefix nothing follows an upload, and the page knows nothing of it.
        other.s3.put_object(Bucket=other.originals, Key="elsewhere.jpg", Body=photograph())
        page.reload()
        expect(page.locator("#pictures h3")).to_have_count(2)


def test_a_screenshot_for_the_readme(browser: Browser, pipeline: Pipeline) -> None:
    target = ROOT / (os.environ.get("GALLERY_SCREENSHOT") or ".local/gallery.png")
    keys = ["holiday/a letter.jpg", "holiday/rocket.jpg", "holiday/chelsea.png"]
    contents = [b"a letter", *((PHOTOGRAPHS / name).read_bytes() for name in ("rocket.jpg", "chelsea.png"))]
    for key, content in zip(keys, contents, strict=True):
        pipeline.upload(key, content)
        assert pipeline.end_of_upload(key)["status"] == ("FAILED" if content == b"a letter" else "SUCCEEDED")
    more = pipeline.request(keys[-1], width=320, height=200, fit="cover", formats=["webp", "avif"])
    assert pipeline.end_of(pipeline.post(more).body["executionArn"])["status"] == "SUCCEEDED"

    with opened(browser, pipeline.settings.gallery, viewport={"width": 1280, "height": 1180}) as page:
        page.get_by_label("Filter by key").fill("holiday/")
        for key, state in zip(keys, ("Failed", "Ready", "Ready"), strict=True):
            expect_state(card_of(page, key), state)
        expect(page.locator("#pictures h3")).to_have_count(len(keys))
        assert len(loaded(page.locator("#pictures img"))) == 2 * (1 + len(UPLOAD_SIZES)) + 2
        page.evaluate("scrollTo(0, 0)")
        page.get_by_label("Filter by key").blur()
        save_small(page.screenshot(), target)

    assert target.stat().st_size < 300_000


def save_small(png: bytes, target: Path) -> None:
    """Save a screenshot with 256 colours: its photographs need no more in a README."""
    with Image.open(io.BytesIO(png)) as screenshot:
        few = screenshot.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, kmeans=2)
        few.save(target, optimize=True)
