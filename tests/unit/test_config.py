"""Settings: each bad value names itself, and .env.example has exactly what there is."""

import warnings
from pathlib import Path

import msgspec
import pytest

from seatmap.config import OTHER_VARIABLES, Settings, load, site_url
from seatmap.errors import SettingInvalid

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_nothing_set_is_the_defaults() -> None:
    assert load({"PATH": "/bin", "UNRELATED": "x"}) == Settings()


def test_each_kind_of_value_is_read() -> None:
    settings = load(
        {
            "PORT": "9000",
            "SEATMAP_DATA": "some where",
            "SEATMAP_DEMO": "false",
            "SEATMAP_ORIGINS": "https://a.example/, https://b.example",
        }
    )
    assert settings.port == 9000
    assert settings.data == Path("some where")
    assert settings.demo is False
    assert settings.origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("PORT", ""),
        ("SEATMAP_DEMO", "perhaps"),
        ("SEATMAP_HOLD_SECONDS", "0"),
        ("SEATMAP_HOLD_SECONDS", "8 minutes"),
        ("SEATMAP_GRACE_MS", "-1"),
        ("SEATMAP_LOG_LEVEL", "loud"),
        ("SEATMAP_PUBLIC_URL", "https://seats.example/path"),
        ("SEATMAP_MAIL_FROM", "Seats <a@b.c>\r\nBcc: all@example.org"),
        ("SEATMAP_SESSION_SECONDS", "0"),
    ],
)
def test_a_bad_value_names_its_variable_and_itself(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        load({name: value})
    assert caught.value.extra == {"setting": name}
    assert caught.value.detail.startswith(f"{name}={value!r} cannot be used: ")


def test_a_bad_address_of_a_server_is_not_shown_with_its_password() -> None:
    with pytest.raises(SettingInvalid, match="SEATMAP_SMTP_URL='…' cannot be used: ") as caught:
        load({"SEATMAP_SMTP_URL": "smtp//seats:secret@mail.example"})
    assert "secret" not in str(caught.value)


def test_a_misspelt_variable_warns() -> None:
    with pytest.warns(UserWarning, match="SEATMAP_HOLD_SECOND is not a setting"):
        assert load({"SEATMAP_HOLD_SECOND": "9"}) == Settings()


def test_variables_that_are_read_elsewhere_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(dict.fromkeys(OTHER_VARIABLES, "x"))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"HOST": "::1", "PORT": "9000"}, "http://[::1]:9000"),
        ({"SEATMAP_PUBLIC_URL": "https://seats.example"}, "https://seats.example"),
    ],
    ids=["default", "ipv6", "public"],
)
def test_links_lead_to_where_people_find_the_site(given: dict[str, str], url: str) -> None:
    assert site_url(load(given)) == url


def test_the_example_has_every_setting_with_its_documentation_and_default() -> None:
    text = EXAMPLE.read_text()
    wanted = [entry for field in msgspec.inspect.type_info(Settings).fields for entry in [_entry(field)]]
    missing = [entry for entry in wanted if entry not in text]
    assert not missing, "in .env.example should stand:\n\n" + "\n\n".join(missing)


def test_the_example_has_nothing_else() -> None:
    lines = EXAMPLE.read_text().splitlines()
    names = [
        line.removeprefix("#").partition("=")[0] for line in lines if line.startswith("#") and "=" in line
    ]
    settings = {field.encode_name for field in msgspec.structs.fields(Settings)}
    assert sorted(names) == sorted(settings | OTHER_VARIABLES)


def _entry(field: msgspec.inspect.Field) -> str:
    metadata = field.type
    assert isinstance(metadata, msgspec.inspect.Metadata)
    default = field.default
    shown = ",".join(default) if isinstance(default, tuple) else str(default)
    if isinstance(default, bool):
        shown = shown.lower()
    return f"# {metadata.extra_json_schema['description']}\n#{field.encode_name}={shown}"
