"""The pages of `weighbridge ui` in Chromium: axe-core finds nothing, and a phone needs no scrolling aside."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from tests.in_a_browser import chromium
from tests.tracking.audit.test_audit import weighed, wrong
from tests.tracking.explain.test_mutated_certificates import CHANGES, Machine
from tracking.explain.certificate import certificate
from tracking.explain.explain import explain, located
from tracking.explain.schema import save
from weighbridge.cli.site import site

BEFORE = weighed()
AFTER = weighed(
    top1=wrong(20), facts={"package.pillow": "11.3.0", "a.fact.with.a.long.name.that.has.no.blank.in.it": "x"}
)
EXPLAINED = "explained.json"
PAIR = f"before={BEFORE.id}&after={AFTER.id}"


def explained() -> dict[str, Any]:
    """A certificate that has every table."""
    here = Machine()
    ends = {"a processor": here.run(), "another": here.run(**CHANGES)}
    before, after = (replace(run, environment={"cpu.model": name}) for name, run in ends.items())
    found = certificate(located(explain(before, after, here), here))
    assert all(found[each] for each in ("shares", "hybrids", "not_here", "places"))
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("data")
    for number, run in enumerate((BEFORE, AFTER)):
        run.save(folder / f"runs/{number}.json")
    save(explained(), folder / f"certificates/{EXPLAINED}")
    server = make_server("127.0.0.1", 0, site(folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(
    "place",
    [
        *("/", "/matrix", "/certificates", f"/certificates/{EXPLAINED}"),
        *(f"/run/{AFTER.id}", f"/audit?{PAIR}", f"/compare?{PAIR}"),
    ],
)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    place: str, scheme: str, width: int, address: str, browser: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core: pip install .[browser]")
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(f"{address}{place}")
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
