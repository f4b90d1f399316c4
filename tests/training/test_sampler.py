from __future__ import annotations

import numpy as np

from vlm_qsft.training.sampler import BatchRequest, FrameSampler, Priority

FRAMES = np.array([3, 5, 8, 13, 21])


def sampled(
    *, accumulation: int = 1, seed: int = 0, shift_pixels: int = 0, colour_jitter: float = 0.0
) -> list[BatchRequest]:
    sampler = FrameSampler(
        FRAMES,
        steps=5,
        batch_size=4,
        accumulation=accumulation,
        shift_pixels=shift_pixels,
        colour_jitter=colour_jitter,
        seed=seed,
    )
    return list(sampler)


def test_every_pass_over_the_data_shows_every_frame_once() -> None:
    order = np.concatenate([request.frames for request in sampled()])
    for begin in range(0, 20, 5):
        assert sorted(order[begin : begin + 5]) == FRAMES.tolist()


def test_passes_differ_from_each_other_and_seeds_from_each_other() -> None:
    order = np.concatenate([request.frames for request in sampled()])
    assert any((order[:5] != order[begin : begin + 5]).any() for begin in (5, 10, 15))
    assert any((one.frames != other.frames).any() for one, other in zip(sampled(), sampled(seed=1), strict=True))


def test_the_pieces_of_an_accumulated_batch_are_the_batch() -> None:
    whole, pieces = sampled(shift_pixels=3), sampled(accumulation=2, shift_pixels=3)
    assert len(pieces) == 2 * len(whole)
    for step, request in enumerate(whole):
        parts = pieces[2 * step : 2 * step + 2]
        assert np.concatenate([part.frames for part in parts]).tolist() == request.frames.tolist()
        shifts = [part.shifts for part in parts if part.shifts is not None]
        assert request.shifts is not None
        assert np.concatenate(shifts).tolist() == request.shifts.tolist()


def test_shifts_stay_within_the_setting_and_reach_its_ends() -> None:
    shifts = np.concatenate([request.shifts for request in sampled(shift_pixels=1) if request.shifts is not None])
    assert set(shifts.flatten().tolist()) == {-1, 0, 1}
    assert all(request.shifts is None for request in sampled(shift_pixels=0))


def test_importance_weights_make_a_prioritised_batch_estimate_the_mean_over_all_frames() -> None:
    frames, odds = np.arange(50), np.concatenate([np.full(45, 0.0), np.linspace(0.2, 1.0, 5)]).astype(np.float32)
    sampler = FrameSampler(
        frames,
        steps=4000,
        batch_size=8,
        accumulation=1,
        seed=0,
        priority=Priority(odds, 0.5),
    )
    drawn, weighted, numbers = np.zeros(50), [], np.sin(frames) + 2.0
    for request in sampler:
        assert request.importance is not None
        np.add.at(drawn, request.frames, 1)
        weighted.append((request.importance * numbers[request.frames]).mean())
    # Half of 32,000 draws are uniform; the last frame gets a third (1 of 0.2 + 0.4 + ... + 1) of the other half.
    assert abs(drawn[0] / 32_000 - 0.5 / 50) < 1e-3
    assert abs(drawn[49] / 32_000 - (0.5 / 50 + 0.5 / 3)) < 0.01
    assert abs(np.mean(weighted) - numbers.mean()) < 4 * np.std(weighted) / np.sqrt(len(weighted))


def test_a_prioritised_batch_is_the_same_whatever_the_accumulation() -> None:
    priority = Priority(np.array([0.0, 0.1, 0.0, 0.9, 0.3], np.float32), 0.4)
    whole, pieces = (
        list(
            FrameSampler(
                FRAMES,
                steps=3,
                batch_size=6,
                accumulation=n,
                seed=1,
                priority=priority,
            )
        )
        for n in (1, 3)
    )
    assert [frame for request in whole for frame in request.frames] == [
        frame for request in pieces for frame in request.frames
    ]


def test_colour_factors_lie_around_one_and_do_not_depend_on_the_accumulation() -> None:
    whole, pieces = sampled(colour_jitter=0.2), sampled(accumulation=2, colour_jitter=0.2)
    gains = np.concatenate([request.gains for request in whole if request.gains is not None])
    assert gains.shape == (20, 3)
    assert abs(gains.mean() - 1.0) < 0.1 and 0.1 < gains.std() < 0.3
    np.testing.assert_array_equal(
        gains, np.concatenate([request.gains for request in pieces if request.gains is not None])
    )
    assert not any(request.augments for request in sampled())
    assert all(request.augments for request in whole)
