from typing import get_args

from hptransfer.quantify.result import VerdictValue
from hptransfer.report import glossary


def test_every_meaning_of_a_flag_is_one_line_without_a_full_stop() -> None:
    for flag, meaning in glossary.FLAG_MEANINGS.items():
        assert flag == flag.lower()
        assert "\n" not in meaning
        assert not meaning.endswith(".")


def test_every_verdict_has_its_meaning() -> None:
    assert set(glossary.VERDICTS) == set(get_args(VerdictValue))


def test_a_flag_keeps_its_detail_and_an_unknown_one_its_words() -> None:
    assert glossary.flag_sentence("thin: 2 runs").endswith("fit a basin (2 runs)")
    assert glossary.flag_sentence("nothing we know") == "nothing we know"
    assert glossary.flag_name("no_laws: 2 usable scales, a law needs 3") == "no_laws"
    assert glossary.flag_detail("thin") == ""
