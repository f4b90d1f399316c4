"""The page in a real browser: colours, streaming, pictures, curve and the hold button; nothing it shows is run."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vlm_qsft.dialogue.chat import Fragment
from vlm_qsft.dialogue.page import ChatServer
from vlm_qsft.dialogue.page.server import PAGE

from ...browser import run_page
from .test_page import ATTACK, SeeingRobot

# Goes to the end of a copy of the page: talks and presses as a person would, leaves what it saw in an attribute.
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
  const text = (id) => document.getElementById(id).textContent;
  await until(() => root.dataset.ready === "true");
  const greeting = text("log");
  document.getElementById("text").value = "Hello <b>there</b>";
  document.getElementById("text").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  await until(() => root.dataset.answers === "1");
  const log = document.getElementById("log");
  const colours = [...log.querySelectorAll("span[class^=q]")].map((span) => [span.className, span.textContent]);
  await until(() => [...document.querySelectorAll("#cameras img")].some((image) => image.naturalWidth));
  const image = document.querySelector("#cameras img");
  const before = text("state");
  document.getElementById("hold").click();
  await until(() => text("state") === "holding");
  root.setAttribute("data-result", JSON.stringify({
    problems: window.problems, greeting, colours, before, log: log.textContent,
    children: log.querySelectorAll("img, b").length, legend: !document.getElementById("legend").hidden,
    picture: [image.naturalWidth, image.naturalHeight], curve: document.querySelectorAll("#curve polyline").length,
    level: document.querySelectorAll("#curve line").length, value: text("value"), state: text("state"),
    reason: text("reason"), wide: root.scrollWidth - root.clientWidth,
    colour: getComputedStyle(log.querySelector(".q4")).backgroundColor,
    foreign: performance.getEntriesByType("resource").map((entry) => entry.name)
      .filter((name) => !name.startsWith(location.origin) && !name.startsWith("data:")),
  }));
});
</script>"""


class Attacked:
    """A chat that answers with what a page must not run."""

    greeting = f"test {ATTACK}"

    def hear(self, text: str) -> Iterator[Fragment]:
        yield Fragment("good", 0.95)
        yield Fragment(" bad", 0.05)
        yield Fragment(ATTACK, math.nan)
        yield Fragment(f"(heard {text})", is_notice=True)

    def begin_anew(self) -> str:
        return "new"


def test_the_page_talks_shows_and_holds(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    source = PAGE.read_text(encoding="utf-8")
    page.write_text(source.replace("</body>", f"{EXERCISE}</body>", 1), encoding="utf-8")
    robot = SeeingRobot("red cube")
    robot.current = replace(robot.current, values=(0.2, math.nan, 0.6), min_value=0.1)
    server = ChatServer(Attacked(), robot=robot, show_values=True)
    server.page = page
    thread = threading.Thread(target=server.serve_until_over)
    thread.start()
    try:
        # The page asks for the state five times a second until the browser's own time is over.
        options = ("--no-proxy-server", "--virtual-time-budget=15000")
        result = run_page(server.address, tmp_path, *options, width=500, otherwise="the page is only asked by HTTP")
    finally:
        server.is_over = True
        thread.join()
        server.server_close()
    assert result["problems"] == [] and result["foreign"] == []
    shown = ATTACK.replace("\x1b", "\ufffd")
    assert result["greeting"] == f"test {shown}\n"
    assert result["colours"] == [["q4", "good"], ["q0", " bad"]]
    assert result["colour"] == "rgb(253, 231, 37)"
    assert f"good bad{shown}\n(heard Hello <b>there</b>)" in result["log"]
    assert result["children"] == 0  # the texts have made no element
    assert result["picture"] == [8, 8]
    assert (result["curve"], result["level"]) == (1, 1)
    assert result["value"].startswith("value over the decisions on this instruction: 0.60; below 0.10 the arm holds")
    assert (result["before"], result["state"]) == ("active", "holding")
    assert result["reason"] == "The hold button of the page was pressed."
    assert robot.told == ["HOLD"]
    assert result["legend"] and result["wide"] <= 0
