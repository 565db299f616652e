"""The endpoint of /api/admin/settings: the settings in force."""

from typing import get_args, get_type_hints

from msgspec import Meta, Struct
from msgspec.structs import fields

from seatmap.config import Settings, is_secret
from seatmap.web.endpoint import Access, Call, Endpoint


class Setting(Struct, frozen=True, kw_only=True):
    """One setting. `value` is text; of a secret it only says whether it is set."""

    name: str
    value: str
    description: str


class SettingList(Struct, frozen=True):
    """All settings."""

    settings: list[Setting]


class SettingsInForce:
    """Handles the endpoint."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def endpoints(self) -> list[Endpoint]:
        """The one."""
        return [
            Endpoint(
                method="GET",
                path="/api/admin/settings",
                handle=self.list,
                access=Access.viewer,
                tag="admin",
                summary="The settings in force, without secrets",
                answer=SettingList,
            )
        ]

    async def list(self, call: Call) -> SettingList:
        hints = get_type_hints(Settings, include_extras=True)
        found = []
        for field in fields(Settings):
            value = getattr(self._settings, field.name)
            shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            if is_secret(field.encode_name):
                shown = "set" if value else ""
            meta = [extra for extra in get_args(hints[field.name]) if isinstance(extra, Meta)]
            sentence = next((extra.description for extra in meta if extra.description), "")
            found.append(Setting(name=field.encode_name, value=shown, description=sentence))
        return SettingList(found)
