"""What the provider refuses, in its own words, and the headers on everything it says."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI
from openai.types.responses import response_create_params
from openai.types.shared import ErrorObject

import backlane.simulator
from backlane.simulator.protocol import PARAMETERS
from backlane.simulator.server import Running
from tests.simulator.provider_strictness import checked

REFUSED: list[tuple[dict[str, Any], str | None, str | None]] = [
    ({"inputs": "x"}, "inputs", "unknown_parameter"),
    ({"model": None}, "model", "missing_required_parameter"),
    ({"input": None}, "input", "missing_required_parameter"),
    ({"model": 7}, "model", "invalid_type"),
    ({"background": "yes"}, "background", "invalid_type"),
    ({"temperature": "hot"}, "temperature", "invalid_type"),
    ({"temperature": 3}, "temperature", "decimal_above_max_value"),
    ({"max_output_tokens": 1}, "max_output_tokens", "integer_below_min_value"),
    ({"max_output_tokens": True}, "max_output_tokens", "invalid_type"),
    ({"service_tier": "gold"}, "service_tier", "invalid_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options", "invalid_value"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "unknown_parameter"),
    (
        {"stream": True, "stream_options": {"include_obfuscation": "no"}},
        "stream_options.include_obfuscation",
        "invalid_type",
    ),
    (
        {"background": True, "stream": True, "background_options": {"completion_window": "2h"}},
        "stream",
        "invalid_value",
    ),
    ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", "object_above_max_properties"),
    ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 64, "string_above_max_length"),
    ({"metadata": {"k": "x" * 513}}, "metadata.k", "string_above_max_length"),
    ({"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
    ({"input": ["x"]}, "input[0]", "invalid_type"),
    ({"input": [{"role": "king", "content": "x"}]}, "input[0].role", "invalid_value"),
    ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
    ({"input": [{"role": "user", "content": [{"type": "song"}]}]}, "input[0].content[0]", "invalid_value"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value"),
    (
        {"text": {"format": {"type": "json_schema", "name": "x"}}},
        "text.format.schema",
        "missing_required_parameter",
    ),
    ({"text": {"style": "x"}}, "text.style", "unknown_parameter"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value"),
    ({"tools": [{"type": "hammer"}]}, "tools[0].type", "invalid_value"),
    ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"background_options": {"completion_window": "2h"}}, "background_options", "invalid_value"),
    (
        {"background": True, "background_options": {"completion_window": "3h"}},
        "background_options.completion_window",
        "invalid_value",
    ),
    (
        {"background": True, "background_options": {"completion_window": "8h"}, "service_tier": "flex"},
        "service_tier",
        "invalid_value",
    ),
]


def post(simulator: Running, body: Any, key: str | None = "sk-test") -> httpx2.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{simulator.base_url}/responses", content=json.dumps(body), headers=headers)


@pytest.mark.parametrize(("change", "param", "code"), REFUSED)
def test_a_wrong_create_is_refused_and_buys_nothing(
    simulator: Running, change: dict[str, Any], param: str | None, code: str | None
) -> None:
    reply = post(simulator, {"model": "gpt-6-astra", "input": "x"} | change)
    error = checked(ErrorObject, reply.json()["error"])
    assert (reply.status_code, error.type) == (400, "invalid_request_error")
    assert (error.param, error.code) == (param, code)
    assert simulator.stats()["refused"] == 1
    assert (simulator.log()[0]["outcome"], simulator.log()[0]["status_code"]) == ("refused", 400)


def test_an_unknown_parameter_is_named_as_in_the_sample(simulator: Running) -> None:
    told = post(simulator, {"model": "m", "input": "x", "inputs": 1}).json()["error"]["message"]
    assert told == "Unknown parameter: 'inputs'."


def test_every_parameter_of_the_sdk_is_known() -> None:
    base = response_create_params.ResponseCreateParamsBase
    assert set(base.__annotations__) <= set(PARAMETERS)


def test_a_body_that_is_not_json_is_refused(simulator: Running) -> None:
    headers = {"authorization": "Bearer k"}
    reply = httpx2.post(f"{simulator.base_url}/responses", content="{", headers=headers)
    assert (reply.status_code, "parse the JSON" in reply.text) == (400, True)


@pytest.mark.parametrize(("key", "code"), [(None, None), ("sk-bad-1", "invalid_api_key")])
def test_a_call_without_a_good_key_is_refused(simulator: Running, key: str | None, code: str | None) -> None:
    reply = post(simulator, {"model": "m", "input": "x"}, key)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, code)


def test_the_sdk_reads_a_bad_key_as_such(simulator: Running) -> None:
    with (
        OpenAI(api_key="sk-bad", base_url=simulator.base_url, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"),
    ):
        client.responses.retrieve("resp_x")


def test_a_retired_model_is_not_found(simulator: Running, client: OpenAI) -> None:
    simulator.profile(retired_models=["gpt-5"])
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model="gpt-5", input="x", background=True)
    assert refused.value.code == "model_not_found"


def test_other_routes_do_not_exist(simulator: Running, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=re.escape("Invalid URL (GET /v1/models)")):
        client.models.list()
    assert simulator.log()[0]["call"] == "unknown"


def test_every_reply_carries_the_providers_headers(simulator: Running, client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="m", input="x" * 400)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.headers["openai-processing-ms"].isdecimal()
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    assert raw.headers["x-ratelimit-remaining-requests"] == "9999"
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) < 2_000_000
    assert re.fullmatch(r"\d+ms", raw.headers["x-ratelimit-reset-tokens"])
    assert post(simulator, {}, None).headers["x-request-id"].startswith("req_")


def test_an_enforced_limit_opens_again_after_a_minute(simulator: Running, client: OpenAI) -> None:
    simulator.profile(enforce_limits=True, requests_per_minute=2)
    for _ in range(2):
        client.responses.create(model="m", input="x", background=True)
    with pytest.raises(openai.RateLimitError) as refused:
        client.responses.create(model="m", input="x", background=True)
    simulator.advance(int(refused.value.response.headers["retry-after"]))
    client.responses.create(model="m", input="x", background=True)
    assert simulator.stats()["accepted"] == 3


def test_the_simulator_imports_nothing_of_the_product() -> None:
    for path in Path(backlane.simulator.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("backlane"):
                assert node.module.startswith("backlane.simulator")
