"""The small model: its vocabulary, its cameras, and that it learns from pictures and words."""

from __future__ import annotations

import pytest
import torch

from vlm_qsft.errors import InvalidSetting, ShapeMismatch, UnknownName
from vlm_qsft.model import ModelInputs, ModelSettings, StateStatistics, build_scorer, renormalise_bins
from vlm_qsft.model.word_tokenizer import WordTokenizer


def test_words_become_their_place_in_the_sorted_vocabulary_plus_one():
    words = WordTokenizer.fit(["Pick up the cube.", "pick the ball"])
    assert words.words == ("ball", "cube", "pick", "the", "up") and words.longest == 4
    text, text_mask = words.encode(["pick the cube", "Pick up, the ball!"])
    assert text.tolist() == [[3, 4, 2, 0], [3, 5, 4, 1]]
    assert text_mask.tolist() == [[True, True, True, False], [True] * 4]


def test_an_unknown_word_is_refused_with_the_words_there_are():
    words = WordTokenizer.fit(["pick the red cube"])
    with pytest.raises(UnknownName, match=r"Word 'rod' is not known.*Valid: cube, pick, red, the\. Did you mean 'red'"):
        words.encode(["pick the rod cube"])


def test_an_empty_or_too_long_instruction_is_refused():
    words = WordTokenizer.fit(["pick the cube"])
    for instruction in ("", "pick the the cube"):
        with pytest.raises(ShapeMismatch, match="1 to 3 words"):
            words.encode([instruction])


def test_a_vocabulary_survives_json():
    words = WordTokenizer.fit(["pick the red cube"])
    assert WordTokenizer.from_json(words.to_json()) == words


def test_cameras_are_chosen_and_ordered_by_the_settings(build, make_inputs):
    scorer = build("small", cameras=("wrist",))
    assert scorer.spec.cameras == ("wrist",)
    assert scorer.log_probs(make_inputs(scorer), torch.zeros(3, 4, dtype=torch.int64)).isfinite().all()


def test_a_camera_that_the_data_set_lacks_is_refused_with_those_there_are(build):
    with pytest.raises(UnknownName, match=r"Camera 'wrst'.*Valid: front, wrist. Did you mean 'wrist'"):
        build("small", cameras=("front", "wrst"))


def test_no_camera_at_all_is_refused(build):
    with pytest.raises(InvalidSetting, match="at least one camera"):
        build("small", cameras=())


def test_statistics_of_another_state_are_refused(schema, action_tokenizer):
    with pytest.raises(ShapeMismatch, match="2 dimensions; the data set has 3"):
        build_scorer(ModelSettings(), schema, action_tokenizer, ["pick"], StateStatistics((0.0,) * 2, (1.0,) * 2))


def test_picture_sides_that_no_stride_divides_are_fine(build, make_inputs):
    scorer = build("small", image_size=(40, 56))
    assert scorer.log_probs(make_inputs(scorer), torch.zeros(3, 4, dtype=torch.int64)).isfinite().all()


def test_it_learns_an_action_that_only_the_instruction_and_the_picture_together_tell(build):
    """Token 0 is 1 if the picture's colour is the one that was named, else 5; token 1 repeats token 0."""
    torch.manual_seed(0)
    scorer = build("small", cameras=("front",)).train()
    names = ["pick up the red cube", "pick up the green ball"]
    named, shown = torch.tensor([0, 0, 1, 1] * 4), torch.tensor([0, 1, 0, 1] * 4)
    images = torch.randint(0, 60, (16, 1, 32, 32, 3), dtype=torch.uint8)
    for row, colour in enumerate(shown.tolist()):
        images[row, :, 8:24, 8:24, colour] = 220
    text, text_mask = scorer.encode_instructions([names[index] for index in named.tolist()])
    inputs = ModelInputs(images, torch.zeros(16, 3), text, text_mask)
    first = torch.where(named == shown, 1, 5)
    bins = torch.stack([first, first, torch.zeros_like(first), torch.zeros_like(first)], 1)
    optimizer = torch.optim.AdamW(scorer.parameters(), 3e-3)
    for _ in range(40):
        loss = -renormalise_bins(scorer.log_probs(inputs, bins)).gather(2, bins[..., None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (scorer.eval().log_probs(inputs, bins)[:, 0, :8].argmax(1) == first).all()
