from __future__ import annotations

import json
import resource
from functools import partial
from pathlib import Path

import pytest

from qsft_sim.demonstrators import Demonstrator
from qsft_sim.environment import EnvironmentSettings
from qsft_sim.evaluation import evaluate, read_results
from qsft_sim.journal import Journal
from qsft_sim.results import LINE_BEGINS, EpisodeResult
from qsft_sim.seeds import EVALUATION, TUNING
from vlm_qsft.errors import InUse, InvalidSetting, StorageError, UnknownName

from .killed import run_until_killed

BLIND = EnvironmentSettings(cameras=())
NOISY = partial(Demonstrator, "noisy")
SETTINGS = {"quality": "noisy", "temperature": 0.5}


def evaluate_noisy(
    out: Path, *, episodes: int = 5, workers: int = 1, base: int = EVALUATION, settings: dict | None = None
) -> list[EpisodeResult]:
    return evaluate(
        NOISY,
        task="pick",
        episodes=episodes,
        base=base,
        out=out,
        environment=BLIND,
        settings=SETTINGS if settings is None else settings,
        workers=workers,
    )


def test_results_are_read_back_as_they_were_returned(tmp_path: Path) -> None:
    results = evaluate_noisy(tmp_path / "noisy.jsonl")
    assert [result.to_json() for result in read_results(tmp_path / "noisy.jsonl")] == [
        result.to_json() for result in results
    ]
    assert [result.episode for result in results] == [0, 1, 2, 3, 4]
    line = json.loads((tmp_path / "noisy.jsonl").read_text().splitlines()[0])
    assert line["mean_value"] is None  # a demonstrator has no value, and JSON has no NaN
    assert line["settings"] == SETTINGS
    assert line["simulator"]["variant"] == "standard"


def test_two_processes_write_the_same_file_as_one(tmp_path: Path) -> None:
    evaluate_noisy(tmp_path / "one.jsonl", workers=1)
    evaluate_noisy(tmp_path / "two.jsonl", workers=2)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_every_policy_meets_the_same_scenes(tmp_path: Path) -> None:
    noisy = evaluate_noisy(tmp_path / "noisy.jsonl")
    expert = evaluate(
        Demonstrator, task="pick", episodes=5, base=EVALUATION, out=tmp_path / "e.jsonl", environment=BLIND
    )
    assert [(result.seed, result.instruction) for result in noisy] == [
        (result.seed, result.instruction) for result in expert
    ]
    assert all(result.success for result in expert)


def test_an_evaluation_that_was_killed_continues_and_gives_the_same_file(tmp_path: Path) -> None:
    evaluate_noisy(tmp_path / "whole.jsonl", episodes=8)
    run_until_killed(
        "import os, signal, sys\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from qsft_sim.demonstrators import Demonstrator\n"
        "from qsft_sim.environment import EnvironmentSettings\n"
        "from qsft_sim.evaluation import evaluate\n"
        "def die_after_three(complete, total):\n"
        "    if complete == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    evaluate(partial(Demonstrator, 'noisy'), task='pick', episodes=8, base=2, out=Path(sys.argv[1]),\n"
        "        environment=EnvironmentSettings(cameras=()), settings={'quality': 'noisy', 'temperature': 0.5},\n"
        "        workers=2, progress=die_after_three)\n",
        tmp_path / "killed.jsonl",
    )
    assert len(read_results(tmp_path / "killed.jsonl")) == 3
    evaluate_noisy(tmp_path / "killed.jsonl", episodes=8)
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_line_that_was_being_written_is_cut_off_and_its_episode_run_again(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"
    evaluate_noisy(out)
    whole = out.read_bytes()
    out.write_bytes(whole[: whole.rstrip(b"\n").rfind(b"\n") + 30])
    evaluate_noisy(out)
    assert out.read_bytes() == whole


def test_more_episodes_extend_a_file_and_fewer_read_its_beginning(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"
    two = evaluate_noisy(out, episodes=2)
    four = evaluate_noisy(out, episodes=4)
    assert [result.to_json() for result in four[:2]] == [result.to_json() for result in two]
    content = out.read_bytes()
    assert len(evaluate_noisy(out, episodes=3)) == 3
    assert out.read_bytes() == content


def test_a_finished_evaluation_does_not_load_its_policy_again(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"
    evaluate_noisy(out, episodes=1)

    def no_policy() -> Demonstrator:
        raise AssertionError("the policy was loaded")

    evaluate(no_policy, task="pick", episodes=1, base=EVALUATION, out=out, environment=BLIND, settings=SETTINGS)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"settings": {"quality": "noisy", "temperature": 1.0}}, "temperature was 0.5, is 1.0 now"),
        ({"settings": {"quality": "noisy"}}, "temperature was 0.5, is absent now"),
        ({"base": TUNING}, "base was 2, is 1 now"),
    ],
)
def test_results_of_other_settings_are_not_continued(tmp_path: Path, changed: dict, text: str) -> None:
    out = tmp_path / "noisy.jsonl"
    evaluate_noisy(out, episodes=1)
    with pytest.raises(InvalidSetting, match=text):
        evaluate_noisy(out, episodes=2, **changed)


def test_results_of_another_variant_are_not_continued(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"
    evaluate_noisy(out, episodes=1)
    with pytest.raises(InvalidSetting, match="variant was standard, is camera_shift now"):
        evaluate(
            NOISY, task="pick", episodes=1, base=EVALUATION, out=out, variant="camera_shift", environment=BLIND,
            settings=SETTINGS,
        )  # fmt: skip


@pytest.mark.parametrize(
    "theirs",
    [b'{"note": 1}\n', b"no line end", b'{"wall_s": 15.2}', b'{\n  "a": 1\n}', b"\x89PNG\r\n\x1a\n\xff", b"[]\n"],
)
def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path, theirs: bytes) -> None:
    out = tmp_path / "notes.jsonl"
    out.write_bytes(theirs)
    with pytest.raises(InvalidSetting, match=r"notes\.jsonl.* something else than results"):
        evaluate_noisy(out)
    assert out.read_bytes() == theirs


def test_a_line_that_was_edited_is_named(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"
    evaluate_noisy(out, episodes=2)
    out.write_text(out.read_text().replace('"episode": 1', '"epsiode": 1'))
    with pytest.raises(InvalidSetting, match=r"noisy\.jsonl, line 2: Not a line of results"):
        evaluate_noisy(out, episodes=3)


def test_results_of_another_policy_are_not_continued(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"

    def evaluate_policy(identity: str, episodes: int) -> list[EpisodeResult]:
        return evaluate(
            NOISY, task="pick", episodes=episodes, base=EVALUATION, out=out, environment=BLIND, identity=identity
        )

    assert evaluate_policy("a" * 64, 1)[0].policy == "a" * 64
    with pytest.raises(InvalidSetting, match=r"policy was a{16}, is b{16} now"):
        evaluate_policy("b" * 64, 1)
    assert len(evaluate_policy("a" * 64, 2)) == 2


def test_lines_of_older_versions_are_read(tmp_path: Path) -> None:
    result = evaluate_noisy(tmp_path / "noisy.jsonl", episodes=1)[0]
    record = json.loads(result.to_json())
    del record["policy"]
    assert EpisodeResult.from_json(json.dumps(record)).to_json() == result.to_json()


def test_two_evaluations_cannot_write_one_file(tmp_path: Path) -> None:
    out = tmp_path / "noisy.jsonl"
    with Journal(out, line_begins=LINE_BEGINS), pytest.raises(InUse, match="another process"):
        evaluate_noisy(out)


def test_what_is_no_ordinary_file_is_refused_and_left_alone() -> None:
    with pytest.raises(StorageError, match="no ordinary file"):
        evaluate_noisy(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(tmp_path / "full.jsonl", line_begins="{") as journal:
        journal.append("{}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
        try:
            with pytest.raises(StorageError, match=r"File too large\. The lines before are kept"):
                journal.append("{}")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert journal.lines() == ["{}"]


class RefusesEverything:
    """A policy that does not fit the environment."""

    def reset(self, instruction: str, *, seed: int | None = None) -> None:
        raise UnknownName("word", "mauve", ["red", "blue"])


def test_an_error_of_a_policy_in_a_worker_reaches_the_user_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Word 'mauve' is not known"):
        evaluate(
            RefusesEverything,  # pyright: ignore[reportArgumentType]
            task="pick",
            episodes=2,
            base=EVALUATION,
            out=tmp_path / "out.jsonl",
            environment=BLIND,
            workers=1,
        )
    assert not (tmp_path / "out.jsonl").exists()  # nothing was evaluated, so nothing stands there
