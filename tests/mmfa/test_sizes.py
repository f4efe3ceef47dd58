"""The figures promised for the presets."""

import pytest

from plugins.mmfa.sizes import SizeRow, size_table


@pytest.fixture(scope="module")
def base() -> list[SizeRow]:
    return size_table("base")


def test_base_keeps_within_its_budget(base: list[SizeRow]) -> None:
    assert sum(row.parameters for row in base if row.per != "training") <= 12e6
    assert sum(row.gmac for row in base if row.per == "driven frame") <= 30


def test_every_network_is_listed_once_and_counted(base: list[SizeRow]) -> None:
    names = [row.module for row in base]
    assert len(set(names)) == len(names) == 9
    assert all(row.parameters > 0 and row.gmac > 0 for row in base)


def test_paper_is_of_face_vid2vids_size() -> None:
    rows = {row.module: row for row in size_table("paper")}
    assert 80 < rows["dense_motion"].gmac < 130  # the public count is 119
    assert 50 < rows["generator"].gmac < 90  # 77 for the plain one
