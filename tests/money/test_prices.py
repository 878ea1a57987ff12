"""Prices: from the configuration, from the package, in the cassette; and what a reply costs by them."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmbatch.config import Config, Endpoint, ModelSettings, ResolvedModel, resolve_model
from llmbatch.errors import ConfigError, UsageError
from llmbatch.money.book import PriceBook, is_free, is_this_machine
from llmbatch.money.bound import ASSUMED_TOKENS_OUT, most_tokens, most_usd
from llmbatch.money.catalog import catalogued_prices
from llmbatch.money.cost import cost_usd
from llmbatch.money.prices import Prices, recorded_prices
from llmbatch.money.words import dollars, usd_of
from llmbatch.parse.completion import Usage

OPENAI = "https://api.openai.com/v1"
NO_PRICES = ModelSettings("m")


def model_of(base_url: str, settings: ModelSettings = NO_PRICES, *, free: bool = False) -> ResolvedModel:
    endpoint = Endpoint("service", base_url, models={"m": settings}, free=free)
    return resolve_model(Config(Path(), endpoints={"service": endpoint}), "service/m")


def test_cached_tokens_have_their_own_price_where_one_is_known() -> None:
    """They are part of the tokens in; reasoning tokens are part of the tokens out, and cost as they do."""
    usage = Usage(1000, 100, tokens_cached=400, tokens_reasoning=60)

    assert (600 * 2 + 400 * 1 + 100 * 10) / 1e6 == Prices(2.0, 10.0, 1.0).cost_usd(usage)
    assert (1000 * 2 + 100 * 10) / 1e6 == Prices(2.0, 10.0).cost_usd(usage)


def test_a_question_beyond_the_length_of_a_price_has_no_known_cost() -> None:
    """A wrong figure would be worse than none."""
    prices = Prices(1.0, 1.0, most_tokens_in=200)

    assert 200 / 1e6 == prices.cost_usd(Usage(200, 0))
    assert prices.cost_usd(Usage(201, 0)) is None


def test_what_is_recorded_is_read_back_the_same() -> None:
    """As decimal text: metadata are the same bytes on every machine."""
    prices = Prices(1e-07, 0.6, 0.075, 200_000, "genai-prices 1.2.3")

    assert prices == recorded_prices(prices.as_recorded())
    assert all(isinstance(text, str) for text in prices.as_recorded().values())
    assert recorded_prices({"usd_per_million_in": "1"}) is None


def test_recorded_prices_go_before_configured_ones() -> None:
    """So that a price edited later moves no row."""
    configured = ModelSettings("m", usd_per_million_in=5.0, usd_per_million_out=5.0)
    usage = Usage(1_000_000, 0)

    assert 1.0 == cost_usd(usage, configured, {"usd_per_million_in": "1", "usd_per_million_out": "1"})
    assert 2.0 == cost_usd(usage, configured, {"usd_per_million_in": "2", "usd_per_million_out": "1"})
    assert 5.0 == cost_usd(usage, configured, None)
    assert cost_usd(usage, ModelSettings("m"), None) is None
    assert cost_usd(None, configured, None) is None


def test_the_package_knows_services_by_their_address_alone() -> None:
    """A reseller has its own prices, whatever its models are called; a model that is not known has none."""
    known = catalogued_prices(OPENAI, "gpt-4o-mini")

    assert known is not None
    assert known.usd_per_million_out > known.usd_per_million_in > 0
    assert known.source.startswith("genai-prices ")
    assert catalogued_prices("https://llm.example.org/v1", "gpt-4o-mini") is None
    assert catalogued_prices(OPENAI, "gpt-of-next-year") is None


def test_a_price_that_depends_on_the_hour_is_the_dearest_of_the_day() -> None:
    """A night's price would make the costs of a row depend on the clock."""

    def at(hour: int) -> Prices | None:
        instant = datetime(2026, 11, 27, hour, tzinfo=UTC)
        return catalogued_prices("https://api.deepseek.com/v1", "deepseek-chat", now=lambda: instant)

    assert at(1) is not None
    assert at(1) == at(13) == at(22)


def test_the_configuration_goes_before_the_package() -> None:
    """Whole prices as they are; a part of them in the place of the package's."""
    catalogued = Prices(1.0, 2.0, 0.5, source="package 1")
    whole = ModelSettings("m", usd_per_million_in=7.0, usd_per_million_out=8.0)

    assert Prices(7.0, 8.0) == PriceBook(lambda url, name: catalogued).prices(model_of(OPENAI, whole))
    part = ModelSettings("m", usd_per_million_out=9.0)
    assert Prices(1.0, 9.0, 0.5, source="package 1") == PriceBook(lambda url, name: catalogued).prices(
        model_of(OPENAI, part)
    )


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "[::1]:80", "0.0.0.0:8000", "127.1.2.3", "box.localhost"]
)
def test_this_machine_has_no_price(host: str) -> None:
    """Nor is one looked up; a price that is configured for it counts all the same."""
    model = model_of(f"http://{host}/v1")
    priced = model_of(f"http://{host}/v1", ModelSettings("m", usd_per_million_in=1.0, usd_per_million_out=1.0))

    def look_up(url: str, name: str) -> Prices | None:
        raise AssertionError

    assert is_free(model)
    assert PriceBook(look_up).prices(model) is None
    assert Prices(1.0, 1.0) == PriceBook(look_up).prices(priced)
    assert not is_free(priced)


def test_another_machine_is_free_where_it_is_declared_to_be() -> None:
    """An address says nothing of who pays."""
    assert not is_this_machine("https://gpu-box:8000/v1")
    assert is_free(model_of("http://gpu-box:8000/v1", free=True))


def test_a_budget_needs_the_price_of_every_model_that_is_called() -> None:
    """The error says where to set one."""
    book = PriceBook(lambda url, name: None)
    book.check([model_of("http://127.0.0.1/v1"), model_of("http://gpu-box/v1", free=True)])

    with pytest.raises(ConfigError, match="no price of service/m is known") as caught:
        book.check([model_of("https://llm.example.org/v1")])
    assert "usd_per_million_in" in caught.value.details["fix"]


def test_a_call_takes_at_most_a_token_a_byte_and_its_limit() -> None:
    """Whatever the tokeniser; texts that look like a limit are escaped in the body."""
    body = b'{"model":"m","messages":[{"role":"user","content":"say \\"max_tokens\\":9"}],"max_tokens":50,"n":3}'

    assert (len(body), 150, True) == most_tokens(body)
    assert (2, ASSUMED_TOKENS_OUT, False) == most_tokens(b"{}")
    assert (len(body) + 150 * 2) / 1e6 == most_usd(Prices(1.0, 2.0), body)


@pytest.mark.parametrize("text", ["5", "5usd", "$5", "5 USD", " 5.0 ", "$5.00", "5$"])
def test_a_budget_is_written_as_people_write_it(text: str) -> None:
    assert 5.0 == usd_of(text)


@pytest.mark.parametrize("text", ["", "five", "-1", "0", "5eur", "nan", "inf", "1e3", "5,0"])
def test_what_is_no_amount_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="budget"):
        usd_of(text)


def test_dollars_show_the_digits_that_say_something() -> None:
    assert ["$0", "$0.0000210", "$0.0123", "$0.100", "$4.98", "$1,234.50"] == [
        dollars(usd) for usd in (0, 0.000021, 0.0123, 0.1, 4.98, 1234.5)
    ]


def test_a_replay_imports_no_prices() -> None:
    """The package takes a tenth of a second to import."""
    program = "import sys, llmbatch.cli.exp, llmbatch.invocation.live; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "False" == done.stdout.strip()
