"""Settings that are saved: what is wrong with them is said in a sentence."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Settings(BaseModel):
    """Frozen values, checked when they are made, as JSON and back.

    Attributes
    ----------
    called : str
        What sentences call the settings, with an article.

    Raises
    ------
    ValueError
        If a setting is missing, unknown, of the wrong type or out of bounds; one sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    called: ClassVar[str]

    def __init__(self, /, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ValueError(_sentence(error, self.called)) from None


def _sentence(error: ValidationError, called: str) -> str:
    first = error.errors()[0]
    setting = ".".join(str(part) for part in first["loc"])
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "missing":
        return f"The setting '{setting}' of {called} is missing; add it."
    if first["type"] == "extra_forbidden":
        return f"{called[0].upper()}{called[1:]} has no setting '{setting}'; remove it."
    problem = first["msg"][0].lower() + first["msg"][1:]
    return f"The setting '{setting}' of {called} is {first['input']!r:.60}; {problem}."
