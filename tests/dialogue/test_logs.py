"""Logs on disk: LMRL-Gym's layouts, Hugging Face data sets, and recordings that were interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlm_qsft.dialogue import (
    Conversation,
    Message,
    from_hugging_face,
    read_conversations,
    to_hugging_face,
    write_conversations,
)
from vlm_qsft.dialogue.lmrl_gym import from_line, to_line
from vlm_qsft.dialogue.logs import part_path
from vlm_qsft.dialogue.recording import DialogueRecordingSettings, record_dialogue
from vlm_qsft.errors import DatasetError, InvalidSetting, UnknownName

GAME = Conversation(
    (
        Message("environment", "Wordle:\n"),
        Message("assistant", "c r a n e\n", -1.0),
        Message("environment", "b y g b b\n"),
    ),
    truncated=True,
    attributes={"task": "wordle", "game": 3},
)
CHAT = Conversation(
    (Message("system", "Be kind."), Message("user", "Hé\n"), Message("assistant", "Yes?", 1.0)), terminated=True
)


def test_a_line_of_published_wordle_data_is_read_although_its_rewards_lack_the_header() -> None:
    line = {
        "sequence": [
            ["Wordle:\n", 0.0], ["c r a n e\n", 1.0], ["b y g b b\n", 0.0], ["p i a n o\n", 1.0], ["g g g g g\n", 0.0]
        ],
        "reward": [-1.0, 0.0, 0.0, 0.0],
        "done": True,
    }  # fmt: skip
    conversation = from_line(json.dumps(line))
    assert [message.reward for message in conversation.messages] == [0.0, -1.0, 0.0, 0.0, 0.0]
    assert [message.is_action for message in conversation.messages] == [False, True, False, True, False]
    assert conversation.terminated


@pytest.mark.parametrize("rewards", [[0.0, -1.0, 0.0, 0.0], [-1.0, 0.0]], ids=["per text", "per action"])
def test_a_text_history_is_read_with_rewards_per_text_or_per_action(rewards: list[float]) -> None:
    line = {"text_history": ["o\n", "move up\n", "o\n", "move down\n"], "rewards": rewards, "dones": [False, False]}
    conversation = from_line(json.dumps(line))
    assert [message.reward for message in conversation.messages] == [0.0, -1.0, 0.0, 0.0]
    assert (conversation.terminated, conversation.truncated) == (False, True)


def test_twenty_questions_are_read_from_their_lines() -> None:
    line = {"lines": ["Is it alive? Is it? No.", "Is it a car? Yes."], "correct": True, "word": ["Car", "Auto"]}
    conversation = from_line(json.dumps(line))
    assert [message.text for message in conversation.messages] == [
        "Questions:\n", "Is it alive? Is it?\n", "No.\n", "Is it a car?\n", "Yes.\n"
    ]  # fmt: skip
    assert [message.reward for message in conversation.actions] == [-1.0, 0.0]
    assert conversation.attributes["word"] == "Car;Auto"
    assert conversation.terminated


def test_twenty_questions_that_stop_early_without_a_guess_are_truncated() -> None:
    conversation = from_line(json.dumps({"lines": ["Is it alive? No."], "correct": False, "word": ["Car"]}))
    assert conversation.truncated


def test_what_is_written_has_the_published_keys() -> None:
    record = json.loads(to_line(GAME))
    assert record["sequence"] == [["Wordle:\n", 0.0], ["c r a n e\n", 1.0], ["b y g b b\n", 0.0]]
    assert record["reward"] == [0.0, -1.0, 0.0]
    assert record["done"] is False


def test_conversations_survive_a_file(tmp_path: Path) -> None:
    write_conversations(tmp_path / "log.jsonl", [GAME, CHAT])
    assert list(read_conversations(tmp_path / "log.jsonl")) == [GAME, CHAT]


def test_conversations_survive_a_hugging_face_data_set_on_disk(tmp_path: Path) -> None:
    from datasets import Dataset

    to_hugging_face([GAME, CHAT]).save_to_disk(tmp_path / "set")
    assert list(from_hugging_face(Dataset.load_from_disk(str(tmp_path / "set")))) == [GAME, CHAT]


def test_a_hugging_face_data_set_for_sft_has_no_rewards_and_ends() -> None:
    from datasets import Dataset

    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    (conversation,) = from_hugging_face(Dataset.from_list([{"messages": chat}]))
    assert conversation == Conversation((Message("user", "Hi"), Message("assistant", "Yes?")), terminated=True)


def test_a_hugging_face_data_set_without_messages_names_its_columns() -> None:
    from datasets import Dataset

    with pytest.raises(DatasetError, match="columns text; expected `messages`"):
        list(from_hugging_face(Dataset.from_list([{"text": "a"}])))


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "3", '{"a": 1}', '{"sequence": [["a", 1]], "reward": [0, 0, 0], "done": true}',
     '{"sequence": [[1, 1]], "reward": [0], "done": true}', '{"sequence": [["a"]], "reward": [0], "done": true}',
     '{"lines": ["What"], "correct": false, "word": []}'],
)  # fmt: skip
def test_a_line_that_is_no_conversation_is_refused_with_its_place(line: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{to_line(GAME)}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"log\.jsonl, line 3"):
        list(read_conversations(path))


def test_a_conversation_under_way_is_no_log() -> None:
    with pytest.raises(DatasetError, match="under way"):
        to_line(Conversation(GAME.messages))


def test_an_interrupted_recording_continues_to_the_same_bytes(tmp_path: Path) -> None:
    settings = DialogueRecordingSettings("wordle", 1003, seed=2)
    whole = record_dialogue(tmp_path / "whole", settings)
    record_dialogue(tmp_path / "cut", settings)
    (tmp_path / "cut" / "recording.json").unlink()
    part_path(tmp_path / "cut", 0).unlink()
    with pytest.raises(DatasetError, match="not complete"):
        list(read_conversations(tmp_path / "cut"))
    assert record_dialogue(tmp_path / "cut", settings) == whole
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert len(list(read_conversations(tmp_path / "cut"))) == 1003


def test_a_recording_refuses_other_settings_and_unknown_tasks(tmp_path: Path) -> None:
    record_dialogue(tmp_path, DialogueRecordingSettings("wordle", 2))
    with pytest.raises(InvalidSetting, match="episodes was 2, is 3 now"):
        record_dialogue(tmp_path, DialogueRecordingSettings("wordle", 3))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidSetting, match="holds something else"):
        record_dialogue(tmp_path / "other", DialogueRecordingSettings("wordle", 2))
    with pytest.raises(UnknownName, match="Did you mean 'wordle'"):
        DialogueRecordingSettings("wordl", 3)
