"""Agent versions: what a text means, how tags are ordered, and which agent a VPC CNI release ships."""

from __future__ import annotations

from datetime import date

import pytest

from forensics.versions import agent_of_cni, at_least, between, is_version, known_tags, parse, tag_date, tagged_before


@pytest.mark.parametrize(
    ("text", "number", "build"),
    [
        ("v1.3.0", (1, 3, 0), 0),
        ("1.3.0-eksbuild.2", (1, 3, 0), 2),
        ("v1.4.2-rc1", (1, 4, 2), 0),
        ("HEAD", (1, 4, 2), 0),
        (" v1.20 ", (1, 20, 0), 0),
    ],
)
def test_parse_reads_the_number_and_the_build(text, number, build):
    version = parse(text)

    assert (number, build) == (version.number, version.build)


@pytest.mark.parametrize("text", ["", "latest", "v1", "1.2.x", "v-1.2.3"])
def test_parse_refuses_what_is_no_version(text):
    assert not is_version(text)
    with pytest.raises(ValueError, match="not an agent version"):
        parse(text)


def test_behaviour_follows_the_number_and_not_the_date():
    assert at_least("v1.4.0", "v1.3.7")
    assert not at_least("v1.3.7", "v1.4.0")
    assert tagged_before("v1.4.0", "v1.3.7")
    assert between("1.3.1-eksbuild.1", "v1.3.0", "v1.3.1")
    assert at_least("v1.2.10", "v1.2.9")


def test_tags_have_dates_and_the_missing_ones_are_missing():
    tags = known_tags()

    assert tags[0] == "v0.1.0"
    assert tags[-1] == "v1.4.1"
    assert list(tags) == sorted(tags, key=lambda tag: parse(tag).number)
    assert not {"v1.0.3", "v1.3.3", "v1.3.6"} & set(tags)
    assert tag_date("v1.3.0") == date(2025, 12, 15)
    assert tag_date("v1.4.2") is None
    assert tagged_before("v1.4.2", "v1.3.0") is None


@pytest.mark.parametrize(
    ("cni", "agent", "exact"),
    [
        ("v1.21.0", "v1.3.0", True),
        ("v1.21.1-eksbuild.1", "v1.3.1", True),
        ("v1.21.1-eksbuild.7", "v1.3.2", True),
        ("v1.21.1-eksbuild.3", "v1.3.1", False),
        ("1.22.4", "v1.4.0", True),
    ],
)
def test_the_agent_of_a_cni_release(cni, agent, exact):
    assert (agent, exact) == agent_of_cni(cni)


def test_an_unknown_cni_release_ships_no_known_agent():
    assert agent_of_cni("v1.9.0") is None
    assert agent_of_cni("unknown") is None
