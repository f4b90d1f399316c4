"""The review page in a real browser: keys decide, the slider shows other frames, nothing comes from elsewhere."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from qsft_datasets.labeling.review.decisions import read_decisions
from qsft_datasets.labeling.review.server import PAGE, ReviewServer
from qsft_datasets.labeling.review.view import ReviewView
from vlm_qsft.data import DatasetReader

from ..browser import run_page

# Goes to the end of a copy of the page: presses keys as a person would and leaves what it saw in an attribute.
EXERCISE = """<script nonce="NONCE">
window.problems = [];
window.addEventListener("error", (event) => window.problems.push(String(event.message)));
window.addEventListener("unhandledrejection", (event) => window.problems.push(String(event.reason)));
window.addEventListener("securitypolicyviolation", (event) => window.problems.push(event.violatedDirective));
window.addEventListener("load", async () => {
  const root = document.documentElement;
  const until = async (holds) => {
    for (let tries = 0; tries < 2000 && !holds(); tries += 1) await new Promise((done) => setTimeout(done, 5));
    if (!holds()) window.problems.push(`waited in vain for ${holds}`);
  };
  const press = async (key) => {
    const before = Number(root.dataset.settled || 0);
    document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    await until(() => Number(root.dataset.settled || 0) > before);
  };
  const images = () => [...document.querySelectorAll("#large img, .strip img")];
  const loaded = () => images().every((image) => image.complete && image.naturalWidth);
  const pixels = () => {
    const image = document.querySelector("#large img");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
  };
  const look = () => ({
    title: document.getElementById("title").textContent,
    counts: document.getElementById("counts").textContent,
    instruction: document.getElementById("instruction").textContent,
    clock: document.getElementById("clock").textContent,
    decision: document.getElementById("decision").textContent,
    strip: document.querySelectorAll(".strip button").length,
  });
  await until(() => root.dataset.ready === "true");
  await until(loaded);
  const seen = [look()];
  const last = pixels();
  const slider = document.getElementById("slider");
  slider.value = "0";
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await until(() => document.querySelector("#large img").complete);
  await until(() => pixels() !== last);
  const slides = { clock: document.getElementById("clock").textContent, changed: pixels() !== last };
  for (const key of ["s", "f", " ", "ArrowLeft", "u", "x", "s"]) {
    if (key === "x") document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    else await press(key);
    await until(loaded);
    seen.push(look());
  }
  const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  const wide = root.scrollWidth - root.clientWidth;
  root.setAttribute("data-result", JSON.stringify({
    problems: window.problems, seen, slides, wide,
    foreign: requests.filter((name) => !name.startsWith(location.origin) && !name.startsWith("data:")),
  }));
});
</script>"""


@pytest.fixture
def result(root: Path, tmp_path: Path) -> dict:
    page = tmp_path / "page.html"
    source = PAGE.read_text(encoding="utf-8")
    page.write_text(source.replace("</body>", f"{EXERCISE}</body>", 1), encoding="utf-8")
    reader = DatasetReader(root)
    server = ReviewServer(ReviewView(reader, range(5), read_decisions(reader, 5)))
    server.page = page
    thread = threading.Thread(target=server.serve_until_over)
    thread.start()
    try:
        return run_page(
            server.address, tmp_path, "--no-proxy-server", width=500, otherwise="the page is only asked by HTTP"
        )
    finally:
        server.is_over = True
        thread.join()
        server.server_close()


def test_keys_decide_and_lead_to_the_next_open_episode(result: dict, root: Path):
    assert result["problems"] == [] and result["foreign"] == []
    assert [seen["title"] for seen in result["seen"]] == [
        "Episode 0", "Episode 1", "Episode 2", "Episode 3", "Episode 2", "Episode 2", "Episode 2", "Episode 3",
    ]  # fmt: skip
    assert [seen["decision"] for seen in result["seen"]] == ["", "", "", "", "skip", "", "", ""]
    assert result["seen"][0]["counts"] == "0 of 5 decided: 0 successes, 0 failures, 0 skipped"
    assert result["seen"][-1]["counts"] == "3 of 5 decided: 2 successes, 1 failures, 0 skipped"
    assert result["seen"][1]["instruction"] == "pick the blue cube"
    decisions = json.loads((root / "review.json").read_text())["decisions"]
    assert decisions == {"0": "success", "1": "failure", "2": "success"}
    # the strip shows the last eight frames at most; the slider every one
    assert [seen["strip"] for seen in result["seen"][:3]] == [4, 6, 5]
    assert result["seen"][0]["clock"] == "frame 4 / 4 · 0.24 s"
    assert result["slides"] == {"clock": "frame 1 / 4 · 0.00 s", "changed": True}
    assert result["wide"] <= 0
