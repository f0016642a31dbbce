"""The full collection of the real programs' answers, where it lies beside the repository."""

from __future__ import annotations

import pytest
import vectors

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        not vectors.FULL.is_dir(), reason="the full vector collection is not beside the repository (../shared/verdict)"
    ),
]
DRIVERS = {
    **vectors.SCALAR_DRIVERS,
    "batch-packets": vectors.batch_packet_mismatches,
    "batch-stateful": vectors.batch_stateful_mismatches,
    "batch-sequences": vectors.batch_sequence_mismatches,
    "batch-frames": vectors.batch_frame_mismatches,
    "batch-seed": vectors.batch_seed_mismatches,
}


@pytest.mark.parametrize("name", DRIVERS)
def test_agrees_with_every_answer(name: str) -> None:
    assert list(DRIVERS[name](vectors.FULL))[:5] == []


def test_nothing_of_the_collection_is_left_out() -> None:
    counts = {name: len(vectors.records(vectors.FULL, name)) for name in ("states", *vectors.SCALAR_DRIVERS)}

    assert counts == {
        "states": 1636, "packets": 98866, "stateful": 9120, "sequences": 139, "raw_frames": 1019, "seed_incident": 1500,
    }  # fmt: skip


def test_the_thinned_copy_is_what_the_script_makes(tmp_path) -> None:
    import thin_vectors

    thin_vectors.main(vectors.FULL, tmp_path)

    for name in ("states", *vectors.SCALAR_DRIVERS):
        assert vectors.records(vectors.THIN, name) == vectors.records(tmp_path, name)
