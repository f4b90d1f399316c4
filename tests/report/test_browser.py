"""The page in a real browser: no error, no request, and the scrubber changes what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlm_qsft.report import write_report

from ..browser import run_page

# Goes to the top of a copy of the page: notes every error before anything else runs.
WATCH = """<script>
window.problems = [];
window.addEventListener("error", (event) => window.problems.push(String(event.message)));
window.addEventListener("unhandledrejection", (event) => window.problems.push(String(event.reason)));
for (const level of ["error", "warn"]) console[level] = (...words) => window.problems.push(words.join(" "));
</script>"""

# Goes to its end: plays with every player and leaves what it saw in an attribute, which --dump-dom prints.
EXERCISE = """<script>
window.addEventListener("load", async () => {
  const seen = [];
  const settled = () => new Promise((resolve) => setTimeout(resolve, 50));
  const pixels = (canvas) => canvas.toDataURL();
  const show = async (player, step) => {
    const scrubber = player.querySelector(".scrubber");
    scrubber.value = String(step);
    scrubber.dispatchEvent(new Event("input", { bubbles: true }));
    await settled();
  };
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  await settled();
  for (const player of document.querySelectorAll(".player")) {
    const last = Number(player.querySelector(".scrubber").max);
    const look = () => ({
      frames: [...player.querySelectorAll("canvas.frame")].map(pixels),
      heat: [...player.querySelectorAll("canvas.heat")].map(pixels),
      maps: [...player.querySelectorAll("canvas.map")].map(pixels),
      readouts: [...player.querySelectorAll(".strip-readout")].map((output) => output.textContent),
      clock: player.querySelector(".clock").textContent,
      cursor: player.querySelector(".cursor") ? player.querySelector(".cursor").getAttribute("x1") : null,
    });
    const blank = document.createElement("canvas");
    const canvas = player.querySelector("canvas.frame");
    blank.width = canvas.width;
    blank.height = canvas.height;
    await show(player, 0);
    const first = look();
    await show(player, last);
    const end = look();
    const fade = player.querySelector(".fade");
    if (fade) fade.click();
    const unfaded = look();
    await show(player, 0);
    if (fade) fade.click();
    const again = look();
    const map = player.querySelectorAll("canvas.map")[1];
    const box = map.getBoundingClientRect();
    const at = { clientX: box.left + 0.5 * box.width, clientY: box.top + 5, bubbles: true };
    map.dispatchEvent(new PointerEvent("pointerdown", at));
    const sought = player.querySelector(".clock").textContent;
    const ends = (name) => {
      const { left, right } = player.querySelector(name).getBoundingClientRect();
      return [Math.round(left), Math.round(right)];
    };
    const mapCursor = player.querySelector(".map-cursor").getBoundingClientRect().left;
    await show(player, 0);
    player.querySelector(".play").click();
    await new Promise((resolve) => setTimeout(resolve, 450));
    const played = Number(player.dataset.step);
    player.querySelector(".play").click();
    seen.push({
      id: player.id,
      drawn: first.frames.every((frame) => frame !== pixels(blank)),
      frames_change: first.frames.every((frame, camera) => frame !== end.frames[camera]),
      heat_changes: first.heat.every((strip, dimension) => strip !== end.heat[dimension]),
      maps_drawn: new Set(first.maps).size === first.maps.length,
      maps_stay: first.maps.join() === end.maps.join(),
      maps_fade: fade ? end.maps.every((map, dimension) => map !== unfaded.maps[dimension]) : null,
      film: ends(".film"),
      map: ends(".map"),
      mapCursor: (mapCursor - box.left) / box.width,
      sought,
      fade_changes: fade ? end.heat.every((strip, dimension) => strip !== unfaded.heat[dimension]) : null,
      readouts_change: first.readouts.join() !== end.readouts.join(),
      returns: JSON.stringify(first) === JSON.stringify(again),
      cursor: [first.cursor, end.cursor],
      clock: [first.clock, end.clock],
      readout: first.readouts[0],
      played,
    });
  }
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  const requests = loaded.filter((name) => !name.startsWith("data:"));
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  // Windows narrower than 500 pixels cannot be had, a narrower page can.
  document.body.style.width = "360px";
  await settled();
  const shown = [...document.querySelectorAll("header *, main *")].filter((part) => !part.closest(".unseen"));
  const beyond = shown.filter((part) => part.getBoundingClientRect().right > 361).map((part) => part.outerHTML);
  const result = { problems: window.problems, requests, seen, wide, beyond: beyond.map((part) => part.slice(0, 99)) };
  document.documentElement.setAttribute("data-result", JSON.stringify(result));
});
</script>"""


def run_in_browser(page: Path, folder: Path, *, width: int) -> dict:
    """Return what EXERCISE saw on a copy of the page in a window `width` pixels wide."""
    source = page.read_text(encoding="utf-8")
    copy = folder / "exercised.html"
    copy.write_text(source.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{EXERCISE}</body>", 1))
    return run_page(
        copy.as_uri(), folder, "--host-resolver-rules=MAP * ~NOTFOUND", width=width, otherwise="the page is only parsed"
    )


@pytest.fixture(scope="module")
def result(complete_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return run_in_browser(write_report(complete_run), tmp_path_factory.mktemp("browser"), width=1300)


def test_the_page_runs_without_error_or_request(result: dict) -> None:
    assert result["problems"] == []
    assert result["requests"] == []


def test_the_scrubber_changes_frames_strips_readouts_and_cursor(result: dict) -> None:
    assert [player["id"] for player in result["seen"]] == [
        f"player-{policy}-{ending}" for policy in ("qsft", "sft_success", "sft") for ending in ("success", "failure")
    ]
    for player in result["seen"]:
        for fact in ("drawn", "frames_change", "heat_changes", "readouts_change", "returns"):
            assert player[fact], (player["id"], fact)
        assert player["clock"] == ["step 1 / 28 · 0.0 s", "step 28 / 28 · 5.4 s"]
        assert player["played"] == 2  # 0.45 s at a control period of 0.2 s


def test_values_are_shown_where_the_policy_has_them_and_nowhere_else(result: dict) -> None:
    for player in result["seen"]:
        has_values = player["id"].startswith("player-qsft")
        assert ("Q 0." in player["readout"]) == has_values
        assert player["fade_changes"] == player["maps_fade"] == (True if has_values else None)
        if has_values:  # 28 steps from 64 to 552: the first half a step from the left end, the last from the right
            assert [float(x) for x in player["cursor"]] == pytest.approx([64 + 488 / 56, 552 - 488 / 56])
        else:
            assert player["cursor"] == [None, None]


def test_the_maps_show_the_whole_episode_on_the_axis_of_the_film(result: dict) -> None:
    for player in result["seen"]:
        assert player["maps_drawn"] and player["maps_stay"]
        assert player["map"] == pytest.approx(player["film"], abs=1)


def test_a_click_into_a_map_shows_that_step(result: dict) -> None:
    for player in result["seen"]:
        assert player["sought"] == "step 15 / 28 · 2.8 s"  # the middle of the map is where step 15 begins
        assert player["mapCursor"] == pytest.approx(14.5 / 28, abs=0.01)


def test_the_page_fits_a_telephone(complete_run: Path, tmp_path: Path) -> None:
    result = run_in_browser(write_report(complete_run), tmp_path, width=500)
    assert result["wide"] <= 0
    assert result["beyond"] == []
