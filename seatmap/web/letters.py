"""What mails about an account say. A link's secret is in the fragment, which no server and no log sees."""

from typing import NamedTuple

from seatmap.config import Settings, site_url


class Letter(NamedTuple):
    """Subject and text of a mail."""

    subject: str
    text: str


def verify(settings: Settings, token: str) -> Letter:
    """To somebody who signed up, or for whom somebody did."""
    return Letter(
        "Confirm your address",
        f"Welcome. To finish your account, open this link within a day:\n\n"
        f"{site_url(settings)}/account#verify={token}\n\n"
        "It also sets the password that was chosen with this sign-up. If that was not you, do nothing: "
        "without the link there is no account.\n",
    )


def known(settings: Settings) -> Letter:
    """To somebody who has an account and for whom somebody signed up again."""
    return Letter(
        "You have an account already",
        "Somebody, perhaps you, signed up with this address, which has an account already. Nothing was changed. "
        f"Sign in, or choose a new password, here:\n\n{site_url(settings)}/account\n",
    )


def reset(settings: Settings, token: str) -> Letter:
    """To somebody who has an account."""
    return Letter(
        "Choose a new password",
        f"To choose a new password, open this link within an hour:\n\n"
        f"{site_url(settings)}/account#reset={token}\n\n"
        "It signs you out everywhere else. If you did not ask for it, do nothing.\n",
    )


def unknown(settings: Settings) -> Letter:
    """To somebody who has no account."""
    return Letter(
        "There is no account with this address",
        "Somebody, perhaps you, asked for a new password for this address, which has no account here. "
        f"Perhaps it is under another one; or sign up here:\n\n{site_url(settings)}/account\n",
    )
