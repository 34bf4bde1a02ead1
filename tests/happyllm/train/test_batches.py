"""Batches: each row once a round, in an order of its own, from any place on."""

import pytest
import torch

from happyllm.train.batches import Batches, fingerprint, stack


def rows(number, length=1):
    return [
        {"tokens": torch.full((length,), i), "targets": torch.full((length,), i)}
        for i in range(number)
    ]


def taken(batches, number):
    return [next(batches)["tokens"][:, 0].tolist() for _ in range(number)]


def test_every_row_comes_once_a_round_and_each_round_in_another_order():
    seen = [row for batch in taken(Batches(rows(12), 4, seed=1), 9) for row in batch]
    rounds = [seen[:12], seen[12:24], seen[24:]]
    assert all(sorted(one) == list(range(12)) for one in rounds)
    assert len({tuple(one) for one in rounds}) == 3


def test_the_order_is_that_of_the_seed():
    assert taken(Batches(rows(12), 4, seed=1), 6) == taken(Batches(rows(12), 4, seed=1), 6)
    assert taken(Batches(rows(12), 4, seed=1), 6) != taken(Batches(rows(12), 4, seed=2), 6)


def test_batches_run_on_from_one_round_into_the_next():
    assert taken(Batches(rows(5), 2, seed=None), 5) == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]


def test_epochs_end_with_what_is_left():
    batches = Batches(rows(5), 3, seed=None, epochs=2)
    assert len(batches) == 4
    assert [b["tokens"].flatten().tolist() for b in batches] == [
        [0, 1, 2],
        [3, 4, 0],
        [1, 2, 3],
        [4],
    ]


def test_others_go_on_where_they_stood():
    whole, first = Batches(rows(7), 3, seed=4), Batches(rows(7), 3, seed=4)
    expected = taken(whole, 8)
    assert taken(first, 3) == expected[:3]
    second = Batches(rows(7), 3, seed=4)
    second.load_state_dict(first.state_dict())
    assert taken(second, 5) == expected[3:]


@pytest.mark.parametrize(("number", "seed"), [(8, 4), (7, 5)], ids=["rows", "seed"])
def test_a_place_in_other_data_is_refused(number, seed):
    with pytest.raises(ValueError, match="the data had"):
        Batches(rows(number), 3, seed=seed).load_state_dict(
            Batches(rows(7), 3, seed=4).state_dict()
        )


def test_processes_share_each_batch():
    shares = [Batches(rows(9), 4, seed=2, rank=rank, world_size=2) for rank in range(2)]
    whole = taken(Batches(rows(9), 4, seed=2), 5)
    for batch, one, other in zip(whole, *(taken(share, 5) for share in shares), strict=True):
        assert sorted(one + other) == sorted(batch)
        assert len(one) == len(other)


def test_a_process_without_a_row_takes_part_with_nothing_to_learn():
    shares = [
        list(Batches(rows(5), 4, seed=None, epochs=1, rank=rank, world_size=2)) for rank in range(2)
    ]
    assert shares[0][1]["targets"].tolist() == [[4]]
    assert shares[1][1]["targets"].tolist() == [[-100]]


def test_rows_of_different_lengths_are_filled_up():
    batch = stack([*rows(1, 2), *rows(1, 3)])
    assert batch["targets"].tolist() == [[0, 0, -100], [0, 0, 0]]
    assert batch["tokens"].shape == (2, 3)


def test_data_may_make_its_own_batches():
    class Own(list):
        @staticmethod
        def collate(rows):
            return {"tokens": torch.tensor([[len(rows)]])}

    assert next(Batches(Own(rows(5)), 3))["tokens"].item() == 3


@pytest.mark.parametrize(
    ("number", "options", "said"),
    [
        (0, {"batch_size": 2}, "the data is empty"),
        (3, {"batch_size": 0}, "batch_size=0"),
        (
            3,
            {"batch_size": 3, "world_size": 2},
            "batch_size=3 must be a positive multiple of the 2",
        ),
        (3, {"batch_size": 3, "epochs": 0}, "epochs=0"),
    ],
)
def test_what_makes_no_batches_is_refused(number, options, said):
    with pytest.raises(ValueError, match=said):
        Batches(rows(number), **options)


def test_a_fingerprint_tells_data_apart():
    same, other = fingerprint(rows(200)), rows(200)
    assert fingerprint(rows(200)) == same
    other[199]["tokens"] = torch.tensor([3])
    assert fingerprint(other) != same
    assert fingerprint(rows(201)) != same
    assert fingerprint([]) != same
    assert fingerprint(iter(rows(2))) == ""


def test_data_may_have_a_fingerprint_of_its_own():
    class Own(list):
        fingerprint = "mine"

    assert fingerprint(Own()) == "mine"
