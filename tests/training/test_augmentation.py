from __future__ import annotations

import numpy as np

from vlm_qsft.training.augmentation import random_light, random_shift


def test_a_picture_of_three_by_three_is_moved_and_its_edge_repeated() -> None:
    picture = np.arange(9, dtype=np.uint8).reshape(3, 3)
    images = np.repeat(picture[None, None, :, :, None], 3, axis=-1)
    moved = random_shift(images, np.array([[1, -1]]))
    assert moved[0, 0, :, :, 0].tolist() == [[3, 3, 4], [6, 6, 7], [6, 6, 7]]


def test_all_cameras_of_a_frame_move_alike_and_frames_move_on_their_own() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 2, 5, 7, 3), dtype=np.uint8)
    shifts = np.array([[0, 0], [2, 1], [-2, 0], [1, -2], [-1, -1], [0, 2]])
    expected = np.empty_like(images)
    for frame, (rows, columns) in enumerate(shifts):
        for y in range(5):
            for x in range(7):
                source = (min(max(y + rows, 0), 4), min(max(x + columns, 0), 6))
                expected[frame, :, y, x] = images[frame, :, source[0], source[1]]
    assert (random_shift(images, shifts) == expected).all()


def test_a_batch_without_shift_is_unchanged() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4, 3), dtype=np.uint8)
    assert (random_shift(images, np.zeros((2, 2), np.int64)) == images).all()


def test_light_multiplies_the_channels_of_all_cameras_and_clips() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 4, 3), dtype=np.uint8)
    gains = np.array([[1.0, 0.5, 2.0], [0.0, 1.25, 1.0]], np.float32)
    expected = np.minimum(np.floor(images * gains[:, None, None, None, :]), 255)
    lit = random_light(images, gains)
    assert lit.dtype == np.uint8
    np.testing.assert_array_equal(lit, expected)


def test_factors_of_one_change_no_pixel() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 1, 16, 16, 3)
    np.testing.assert_array_equal(random_light(images, np.ones((1, 3), np.float32)), images)
