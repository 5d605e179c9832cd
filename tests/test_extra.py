"""Facts of further runs: what is kept of a run, on what it was measured, and where it comes into the paper."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from neighborhood_drift import separate
from neighborhood_drift.checks import InputError
from neighborhood_drift.cost_tables import encoder_facts
from neighborhood_drift.crossings import flips
from neighborhood_drift.files import write_text
from neighborhood_drift.scale_facts import scale_facts
from neighborhood_drift.study.extra import EXTRA, SETTING, holds, keep_extra, read_extra, with_extra
from neighborhood_drift.study.freshness import own_data
from neighborhood_drift.study.parameters import ParameterSet
from neighborhood_drift.study.project import Project, StudyError, find_root
from neighborhood_drift.study.run import plan, write_variables

ROOT = find_root()
SET = dict(zip(SETTING, ("far", "123", "cosine", "5,000"), strict=True))
NOTEBOOK = """\
# %% tags=["parameters"]
vectors = "mine.npy"
metric = "l2"
points = 0
also = ["more"]
data_dir = ""
out = ""
"""
RECORDED = {
    "01-first": {"first": {"recall_ivf": "1", "recall_ivf_pq": "2", "recall_redis": "not available"}},
    "02-second": {"second": {"more_points": "3", "furthermore": "4", "size": "5"}},
}


@pytest.fixture
def project(tmp_path) -> Project:
    """Two notebooks on 8 points of one file; a second file, of 6 points, lies in the folder of further data."""
    for name in RECORDED:
        write_text(tmp_path / "notebooks" / f"{name}.py", NOTEBOOK)
    write_text(tmp_path / "report" / "index.qmd", "# Paper\n")
    (tmp_path / "further").mkdir()
    for path, size in (("mine.npy", 8), ("further/more.npy", 6)):
        np.save(tmp_path / path, np.eye(size, dtype=np.float32))
    return Project(tmp_path, tmp_path / "out")


def measured(project: Project, notebooks=None, **given) -> dict:
    """Receipts as a run of the two notebooks leaves them, and the variables that the paper gets from them."""
    root = project.root
    given |= {"data_dir": str(root / "further")}
    chosen = ParameterSet({"vectors": str(root / "mine.npy")}, notebooks or {}, given=given)
    for name, (_, _, grounds) in plan(project, chosen).items():
        write_text(project.receipt(name), json.dumps({"grounds": grounds, "facts": RECORDED[name]}))
    return yaml.safe_load(write_variables(project).read_text(encoding="utf-8"))


def published(project: Project, name: str, facts: dict) -> None:
    content = {"command": "how", "setting": SET, "facts": facts}
    write_text(project.root / EXTRA / f"{name}.yml", yaml.safe_dump(content))


def kept(path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# ---- which facts are kept


def test_facts_of_an_earlier_further_run_are_not_kept_as_those_of_this_one(project):
    published(project, "earlier", {"first": {"barycenter_redis": "8"}})
    assert measured(project)["first"]["barycenter_redis"] == "8"
    with pytest.raises(InputError, match="measured no fact with redis in its name"):
        keep_extra(project, "redis", "how")
    with pytest.raises(InputError, match=r"measured no first.barycenter_redis"):
        keep_extra(project, "ivf", "how", ["first.barycenter_redis"])


def test_a_name_is_whole_words_and_no_part_of_a_longer_name(project):
    measured(project)
    assert kept(keep_extra(project, "ivf", "how"))["facts"] == {"first": {"recall_ivf": "1"}}
    assert kept(keep_extra(project, "ivf-pq", "how"))["facts"] == {"first": {"recall_ivf_pq": "2"}}
    assert kept(keep_extra(project, "more", "how"))["facts"] == {"second": {"more_points": "3"}}


@pytest.mark.parametrize(
    "fact, word, is_one",
    [
        ("redis", "redis", True),
        ("worst_tenth_redis_chance", "redis", True),
        ("redistributed", "redis", False),
        ("recall_ivf_nlist256", "ivf", False),
        ("recall_ivf_nlist256", "ivf_nlist256", True),
        ("recall_hnsw_sq8", "sq8", False),
        ("ivf_beside_ivf_pq", "ivf", True),
        ("fashion_mnist_auc", "mnist", False),
        ("fashion_mnist_auc", "fashion_mnist", True),
        ("mnist_of_fashion", "fashion_mnist", False),
    ],
)
def test_which_facts_are_of_a_name(fact, word, is_one):
    assert holds(fact, word) is is_one


def test_facts_without_the_name_are_kept_where_they_are_asked_for(project):
    measured(project)
    found = kept(keep_extra(project, "more", "how", ["second.size"]))
    assert found["facts"] == {"second": {"more_points": "3", "size": "5"}}
    with pytest.raises(InputError, match=r"measured no second.width"):
        keep_extra(project, "more", "how", ["second.width"])
    with pytest.raises(InputError, match="run the study first"):
        keep_extra(Project(project.root, project.root / "none"), "more", "how")


# ---- what they were measured on


def test_the_vectors_of_the_run_are_named_with_the_facts(project):
    receipt = measured(project, metric="cosine", points=5) and json.loads(project.receipt("01-first").read_text())
    found = kept(keep_extra(project, "ivf", "how"))
    checksum = receipt["grounds"]["data"]["vectors"]
    assert found["setting"] == {"data": "mine", "sha256": checksum, "metric": "cosine", "points": "5"}
    assert found["command"] == "how" and read_extra(project) == {"ivf": found}


def test_further_data_of_that_name_are_what_its_facts_were_measured_on(project):
    measured(project, points=7)
    found = kept(keep_extra(project, "more", "how"))["setting"]
    assert (found["data"], found["points"], found["metric"]) == ("more", "6", "l2")


def test_points_that_differ_or_are_gone_are_refused(project):
    measured(project, {"01-first": {"points": 5}})
    with pytest.raises(InputError, match=r"01-first measured on .*'5'.*, 02-second on .*'6'"):
        keep_extra(project, "more", "how", ["first.recall_ivf"])
    np.save(project.root / "mine.npy", np.eye(9, dtype=np.float32))
    with pytest.raises(InputError, match="mine is not what 01-first has measured on"):
        keep_extra(project, "ivf", "how")


# ---- where they come in


def test_a_section_comes_in_whole_or_not_at_all(project):
    facts = {"first": {"barycenter_redis": "8"}, "second": {"size": "7", "width": "7"}, "third": {"fact": "9"}}
    published(project, "far-away", facts)
    variables = measured(project)
    assert variables["first"]["barycenter_redis"] == "8" and variables["third"] == {"fact": "9"}
    assert variables["second"]["size"] == "5" and variables["second"]["width"] == "not available"
    assert not (project.out / "facts" / "third.json").exists(), "the run's own facts stay its own"
    published(project, "other", {"third": {"fact": "9"}})
    with pytest.raises(StudyError, match=r"far-away.yml and other.yml both hold third.fact"):
        with_extra({}, project)


def test_the_paper_can_say_what_they_were_measured_on(project):
    published(project, "far-away", {"first": {"barycenter_redis": "8"}, "second": {"size": "7"}})
    about = measured(project)["extra"]
    assert about == {
        "far_away_command": "how",
        **{f"far_away_{what}": value for what, value in SET.items()},
        "far_away_first_run": "a separate run on 5,000 points of far, by the cosine distance",
        "far_away_second_run": "this run",
    }


WHOLE = {"command": "x", "setting": SET, "facts": {"a": {"b": "1"}}}


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "",
        "a: 1",
        *(
            yaml.safe_dump(WHOLE | part)
            for part in (
                {"command": 1},
                {"facts": [1]},
                {"facts": {"a": {"b": 1}}},
                {"setting": {}},
                {"setting": SET | {"metric": "miles"}},
                {"setting": SET | {"metric": ["l2"]}},
                {"setting": SET | {"points": 5}},
                {"more": 1},
            )
        ),
        yaml.safe_dump({"command": "x", "facts": {}}),
    ],
)
def test_malformed_facts_of_further_runs_are_refused(project, text):
    write_text(project.root / EXTRA / "bad.yml", text)
    with pytest.raises(StudyError, match=r"bad.yml (is not YAML|must hold `command:`)"):
        read_extra(project)


def test_the_committed_facts_of_further_runs_say_where_they_come_from():
    found = read_extra(Project(ROOT, ROOT / "report"))
    assert {"redis", "fashion-mnist"} <= set(found)
    assert found["redis"]["setting"]["metric"] == "cosine", "its vector sets know no other"
    assert found["fashion-mnist"]["setting"]["data"] == "fashion-mnist"


def test_the_paper_says_on_what_each_of_these_facts_was_measured():
    found = read_extra(Project(ROOT, ROOT / "report"))
    of = {}
    for name, content in found.items():
        of |= {(section, fact): name for section, values in content["facts"].items() for fact in values}
    cited = set()
    for source in (ROOT / "report").glob("*.qmd"):
        for paragraph in source.read_text(encoding="utf-8").split("\n\n"):
            variables = re.findall(r"{{< var (\w+)\.(\w+) >}}", paragraph)
            for section, fact in variables:
                if (section, fact) in of:
                    told = f"{of[section, fact].replace('-', '_')}_{section}_run"
                    assert ("extra", told) in variables, f"{source.name} cites {section}.{fact} without extra.{told}"
                    cited.add(of[section, fact])
    assert {"redis", "fashion-mnist"} <= cited


# ---- tables


def test_tables_of_a_run_are_kept_with_its_facts_and_read_by_kind(project):
    measured(project)
    both = pd.DataFrame({"data": ["more", "mine", "more"], "n": [1, 2, 3], "seconds": [0.25, 1, 1 / 3]})
    separate.leave(both, "sizes", project.out)
    separate.leave(both.drop(columns="data"), "times", project.out)
    keep_extra(project, "more", "how", tables=["sizes", "times"])
    folder = project.root / EXTRA
    found = separate.published("sizes", folder=folder)
    assert found["n"].tolist() == [1, 3] and set(found["source"]) == {"more"}
    assert set(found["run"]) == {"a separate run on 6 points of more, by the Euclidean distance"}
    assert found["seconds"].tolist() == [0.25, pytest.approx(1 / 3, rel=1e-5)]
    assert separate.published("times", folder=folder)["n"].tolist() == [1, 2, 3]
    assert separate.published("sizes", besides=["more"], folder=folder).empty
    assert separate.published("others", folder=folder).empty
    assert read_extra(project)["more"]["facts"], "the facts are read as before"


def test_a_table_that_the_run_has_not_left_is_refused_and_nothing_is_written(project):
    measured(project)
    with pytest.raises(InputError, match="left no table sizes"):
        keep_extra(project, "more", "how", tables=["sizes"])
    separate.leave(pd.DataFrame({"data": ["mine"], "n": [1]}), "sizes", project.out)
    with pytest.raises(InputError, match="has no row of more"):
        keep_extra(project, "more", "how", tables=["sizes"])
    assert not (project.root / EXTRA / "more.yml").exists()


def test_a_table_without_its_setting_is_refused(tmp_path):
    write_text(tmp_path / "lost.sizes.csv", "n\n1\n")
    with pytest.raises(InputError, match=r"lost.yml is missing"):
        separate.published("sizes", folder=tmp_path)


def test_a_changed_table_or_its_setting_makes_the_notebooks_that_show_it_run_again(project):
    first, second = (project.notebooks()[name] for name in RECORDED)
    write_text(second, NOTEBOOK + '\n# %%\nseparate.published("sizes", besides=[])\n')
    seen = []

    def look():
        assert own_data(project, first, {}) == {}
        seen.append(own_data(project, second, {}))

    look()
    for name, text in (("sizes.csv", "n\n1\n"), ("sizes.csv", "n\n2\n"), ("yml", "a: 1\n"), ("yml", "a: 2\n")):
        write_text(project.root / EXTRA / f"far.{name}", text)
        look()
    assert len({str(each) for each in seen}) == 5 and seen[0] == {}
    write_text(project.root / EXTRA / "far.times.csv", "n\n1\n")
    look()
    assert seen[-1] == seen[-2], "of another kind"


def test_what_a_table_says_it_was_measured_on_goes_before_the_vectors(project):
    measured(project)
    timing = {"input": "random vectors", "processor": "one", "versions": "NumPy 2"}
    separate.leave(pd.DataFrame({"n": [1]}), "times", project.out, setting=timing)
    found = kept(keep_extra(project, "more", "how", tables=["times"]))
    assert found["setting"] == timing and read_extra(project) == {"more": found}
    (words,) = set(separate.published("times", folder=project.root / EXTRA)["run"])
    assert words == "a separate run on random vectors, with NumPy 2 on one core of one"
    about = with_extra({}, project)["extra"]
    assert about["more_second_run"] == words and about["more_processor"] == "one"
    separate.leave(pd.DataFrame({"n": [1]}), "times", project.out)
    assert kept(keep_extra(project, "more", "how", tables=["times"]))["setting"]["data"] == "more"


def test_committed_facts_are_those_of_the_tables_beside_them():
    found = read_extra(Project(ROOT, ROOT / "report"))
    times = separate.published("cost").query("source == 'extraction'")
    kept = found["extraction"]["facts"]["cost"]
    again = {word: fact for word, fact in encoder_facts(times, flips(times)).items() if word in kept}
    assert again == kept
    table = separate.published("scale").query("source == 'fashion-mnist-train'")
    kept = found["fashion-mnist-train"]["facts"]["scale"]
    again = scale_facts(table, "none", 100, 0.95)
    assert {word: again[word] for word in kept} == kept
