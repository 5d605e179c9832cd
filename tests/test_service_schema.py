"""The service against its own OpenAPI document, by schemathesis: whatever is sent, the answer is one it describes."""

import pytest
from hypothesis import HealthCheck, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="needs the extra test")
pytest.importorskip("fastapi", reason="the service needs the extra serve")
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.specs.openapi import checks as conformance  # noqa: E402
from serving import TOKEN, Service  # noqa: E402

from neighborhood_drift import Collection  # noqa: E402

EXAMPLES = 30  # a path and method
GETS, POSTS = ("/health", "/info", "/points", "/image"), ("/search", "/search/image", "/points", "/points/delete")
PLAIN = ("/health", "/info", "/compact", "/save")  # they take no parameters
RARELY_FIT = ("/image", "/search/image")  # random text is no JSON, random bytes are no picture
OPERATIONS = [
    *(("GET", path) for path in GETS),
    *(("POST", path) for path in (*POSTS, "/compact", "/save")),
]
CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
    conformance.unsupported_method,
]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    # of one dimension and with ids such as 0: what is drawn at random has to fit now and then
    collection = Collection(1, encoder={"name": "pixels", "size": [1, 1], "mode": "L"})
    collection.add([[row] for row in range(60)], ids=[*range(-20, 20), *map(str, range(19)), ""])
    collection.save(folder / "collection")
    started = Service(folder / "collection", "--token", TOKEN, log=folder / "log")
    yield started
    assert started.stop() == 0, started.said()
    assert "Traceback" not in started.said()


@pytest.fixture(scope="module")
def document(running):
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


def test_the_document_has_the_operations_tested_here(document):
    operations = [found.ok() for found in document.get_all_operations()]
    assert sorted((one.method.upper(), one.path) for one in operations) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("method, path", OPERATIONS)
def test_answers_are_those_that_the_document_describes(document, method, path, mode):
    if mode is GenerationMode.NEGATIVE and path in PLAIN:
        pytest.skip("what takes nothing can be given nothing wrong")
    statuses = set()

    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=3 if path in PLAIN else EXAMPLES, suppress_health_check=list(HealthCheck))
    def ask(case):
        answer = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
        statuses.add(answer.status_code)
        if answer.status_code == 503:
            assert "ask again" in answer.json()["detail"]
        else:
            assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=CHECKS)

    ask()
    if mode is GenerationMode.POSITIVE and path not in RARELY_FIT:
        assert 200 in statuses, "all was refused: the test shows little"
