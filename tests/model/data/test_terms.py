"""Terms are told of what is known, and left open of what is not."""

import pytest

from model.data.terms import TERMS, terms_of


@pytest.mark.parametrize("name", ["lsp:train", "lspet:all", "mpii:train+valid", "synthetic"])
def test_published_sets_have_terms_whatever_the_split(name: str) -> None:
    """As readers name them."""
    assert terms_of(name) == TERMS[name.partition(":")[0]]
    assert not terms_of(name).startswith("unknown")


@pytest.mark.parametrize("name", ["coco:mine", "gym:train", ""])
def test_people_s_own_photographs_have_terms_that_nobody_knows(name: str) -> None:
    """Their labels come in COCO's format: of that alone nothing follows."""
    assert terms_of(name).startswith("unknown: ask ")
