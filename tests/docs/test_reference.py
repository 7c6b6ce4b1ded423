"""The pages of reference are those that the program of today writes."""

import emul
from docs.reference import CLASSES, OLD_NAMES, REFERENCE, named, written_pages

WRITTEN = written_pages()


def test_reference_pages_are_those_of_the_program():
    differ = [
        str(path.relative_to(REFERENCE))
        for path, text in WRITTEN.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert differ == [], "python -m tests.docs --write"


def test_no_page_of_reference_is_left_of_the_program_of_yesterday():
    assert set(REFERENCE.rglob("*.md")) == set(WRITTEN)


def test_every_public_name_is_described():
    told = {name for _, names in CLASSES.values() for name in names}
    errors = {
        name
        for name in emul.__all__
        if isinstance(named(name), type) and issubclass(named(name), Exception)
    }
    assert set(emul.__all__) - OLD_NAMES <= told | errors
    assert "`all_reduce(x, *, op='sum'" in WRITTEN[REFERENCE / "python" / "communicator.md"]
