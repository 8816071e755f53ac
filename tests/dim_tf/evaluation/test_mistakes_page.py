from html.parser import HTMLParser

from dim_tf.evaluation import error_analysis
from dim_tf.evaluation.error_analysis import Analysis, Group, Mistake

EVIL = "<script>alert('&')</script>"
# The parser knows no element that has no end.
VOID = {"meta", "doctype"}


class Reader(HTMLParser):
    """Notes tags and texts, and that each element is closed in turn."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def analysis(mistakes):
    return Analysis(
        table=EVIL,
        turns=4,
        wrong=len(mistakes),
        temperature=None,
        groupings={EVIL: [Group(EVIL, 4, 0.75, 0.5, 1.0)]},
        mistakes=mistakes,
    )


def mistake(**changes):
    values = {
        "row": 7,
        "persona": [EVIL],
        "context": ["hello", EVIL],
        "gold": EVIL,
        "choice": EVIL,
        "gold_probability": 0.25,
        "choice_probability": 0.625,
        "gold_rank": 3,
        "candidates": 20,
    }
    return Mistake(**{**values, **changes})


def test_every_text_is_escaped_and_stands_in_the_page():
    reader = read(error_analysis.page(analysis([mistake()]), EVIL))
    assert "script" not in reader.tags
    # Title, heading, table of the facts, name and label of the groups, and four of the mistake.
    assert sum(EVIL in text for text in reader.texts) == 9


def test_page_needs_no_other_file_and_knows_both_schemes():
    page = error_analysis.page(analysis([mistake()]), "Mistakes")
    reader = read(page)
    assert not {"link", "script", "img"} & set(reader.tags)
    assert not {name for name, _ in reader.attributes} & {"href", "src"}
    assert "url(" not in page
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page


def test_probabilities_rank_and_speakers_are_shown():
    reader = read(error_analysis.page(analysis([mistake(choice="no", gold="yes")]), "Mistakes"))
    assert "0.6250 no" in reader.texts
    assert "0.2500 yes" in reader.texts
    assert [value for name, value in reader.attributes if name == "value"] == ["0.6250", "0.2500"]
    assert [text for text in reader.texts if text in ("self", "partner")] == ["self", "partner"]
    assert "The gold reply has rank 3 of 20." in reader.texts


def test_no_mistakes_no_persona_no_context():
    assert "None." in read(error_analysis.page(analysis([]), "Mistakes")).texts
    bare = read(error_analysis.page(analysis([mistake(persona=[], context=[])]), "Mistakes"))
    assert "ul" not in bare.tags
