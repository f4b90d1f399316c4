"""ReviewServer: the page of a review."""

from __future__ import annotations

import re
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from qsft_datasets.labeling.review.decisions import DECISIONS, Decision
from qsft_datasets.labeling.review.view import ReviewView
from vlm_qsft.errors import QsftError
from vlm_qsft.page_server import PageHandler, PageServer

PAGE = Path(__file__).with_name("page.html")
PICTURE = re.compile(r"picture/(\d{1,9})/(\d{1,4})/(\d{1,9})")


class ReviewServer(PageServer):
    """Serves one review until the page says that it is over; pictures are asked for by number."""

    def __init__(self, view: ReviewView, *, port: int = 0) -> None:
        """Open the port; 0 takes a free one. Raises InvalidSetting: it is taken."""
        self.view = view
        super().__init__(PAGE, ReviewHandler, port=port)


class ReviewHandler(PageHandler):
    """Answers one request."""

    server: ReviewServer

    def get(self, place: str) -> bool:
        """Answer with the list of episodes, or a picture."""
        if place == "episodes":
            view = self.server.view
            episodes = [asdict(episode) for episode in view.shown()]
            self.answer_json({"cameras": view.cameras, "fps": view.fps, "episodes": episodes})
        elif numbers := PICTURE.fullmatch(place):
            self._answer_picture(*(int(number) for number in numbers.groups()))
        else:
            return False
        return True

    def post(self, place: str, content: dict[str, Any]) -> bool:
        """Note a decision, or end the review."""
        if place == "decide":
            self._decide(content)
        elif place == "end":
            self.answer_json({"ended": True})
            self.server.is_over = True
        else:
            return False
        return True

    def _decide(self, content: dict[str, Any]) -> None:
        episode, decision = content.get("episode"), content.get("decision")
        if type(episode) is not int or decision not in (None, *DECISIONS):
            self.refuse(HTTPStatus.BAD_REQUEST, f"Expected an episode and one of {', '.join(DECISIONS)}.")
            return
        try:
            self.server.view.decide(episode, cast(Decision | None, decision))
        except (QsftError, OSError) as error:
            self.refuse(HTTPStatus.CONFLICT, str(error))
            return
        self.answer_json({"episode": episode, "decision": decision})

    def _answer_picture(self, episode: int, camera: int, frame: int) -> None:
        try:
            picture = self.server.view.picture(episode, camera, frame)
        except QsftError as error:
            self.refuse(HTTPStatus.NOT_FOUND, str(error))
            return
        self.answer(picture, "image/jpeg", caching="private, max-age=3600")
