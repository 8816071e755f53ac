"""The README's results are those of docs/results.json, written by `dim_tf.report`."""

from pathlib import Path

from dim_tf import readme, report, tables

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / report.RESULTS_JSON


def test_results_in_the_readme_are_those_of_the_results_file():
    section = readme.section((ROOT / "README.md").read_text(encoding="utf-8"))
    if not RESULTS.exists():
        assert not section, "the README shows results, but there is no docs/results.json"
        return
    expected = tables.markdown(report.read_results(RESULTS)).strip("\n")
    again = "python -m dim_tf.report --out docs --readme README.md"
    assert section == expected, f"the README's results are not those of the file; run {again}"
