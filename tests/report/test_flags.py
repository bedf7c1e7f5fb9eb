from dataclasses import replace

from hptransfer.fit import TransferFit
from hptransfer.report import flags


def test_every_meaning_of_a_flag_is_one_line_without_a_full_stop() -> None:
    for flag, meaning in flags.FLAG_MEANINGS.items():
        assert flag == flag.lower()
        assert "\n" not in meaning
        assert not meaning.endswith(".")


def test_a_flag_keeps_its_detail_and_an_unknown_one_its_words() -> None:
    assert flags.flag_sentence("thin: 2 runs").endswith("fit a basin (2 runs)")
    assert flags.flag_sentence("nothing we know") == "nothing we know"
    assert flags.flag_name("no_laws: 2 usable scales, a law needs 3") == "no_laws"
    assert flags.flag_detail("thin") == ""


def test_places_of_a_flag_are_named_and_the_rest_counted(fit: TransferFit) -> None:
    variants = [replace(fit.variants["sp"], name=f"v{i}", flags=("thin: 2 runs",)) for i in range(5)]
    notes = {flag: places for flag, _, places in flags.flag_notes(variants, "width", ())}
    assert notes["thin"] == "v0 (2 runs); v1 (2 runs); v2 (2 runs) and 2 more"
    assert "beta of the power family" not in notes
