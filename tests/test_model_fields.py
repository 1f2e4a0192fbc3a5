"""The hashes of the mutable fields, as stamps have them."""

from __future__ import annotations

from tunedmodels.model_fields import MutableFields, field_hashes, hashes_by_field

FULL = MutableFields(
    display_name="Tone",
    description="text",
    temperature=0.7,
    top_p=0.5,
    top_k=5,
    reader_project_numbers=(2, 1, 1),
    labels={"team": "a"},
)


def test_the_hashes_in_stamps_do_not_change() -> None:
    # Other hashes report a drift of every field of every live model.
    assert field_hashes(FULL) == "982d.c2c8.973b.d2cb.ef2d.3a31"
    assert field_hashes(MutableFields()) == "e3b0.-.-.-.-.-"


def test_fields_without_a_value_and_labels_have_no_hash() -> None:
    assert hashes_by_field("e3b0.-.973b.-.-.-") == {"description": "e3b0", "temperature": "973b"}
    assert field_hashes(MutableFields(labels={"team": "a"})) == field_hashes(MutableFields())


def test_a_stamp_of_another_release_has_the_hashes_of_the_fields_that_both_know() -> None:
    assert hashes_by_field("") == {}
    assert hashes_by_field("e3b0.c2c8") == {"description": "e3b0", "displayName": "c2c8"}
    newer = hashes_by_field(f"{field_hashes(FULL)}.0bad")
    assert newer == hashes_by_field(field_hashes(FULL))
