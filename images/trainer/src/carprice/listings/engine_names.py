"""Cars that are named by their engine: a Mercedes-Benz C220 is a Classe C, a BMW 320d a Serie 3."""

from __future__ import annotations

import re

NAMED_BY_ENGINE = {"BMW", "Mercedes-Benz"}
"""The makes whose models have such names."""

_MERCEDES = re.compile(
    r"(a|b|c|e|s|g|v|r|ml|gl|gla|glb|glc|gle|glk|gls|cl|cla|cle|cls|clk|clc|slk|sl|slc)"
    r"(?:\d{2}0|3[256]|4[35]|5[35]|6[35])[a-z]{0,2}"
)
_BMW = re.compile(
    r"m?(?:([1-4])(?:1[4-8]|2[0-8]|3[05]|40)|([5-8])(?:18|2[0-8]|3[035]|4[05]|50|60))"
    r"(?:i|d|e|xi|xd|ci|cd|ti|tds|td|da|ia|li|ld)?"
)


def family_of_engine(make: str, engine: str) -> str | None:
    """The model that a folded engine name (`c220`, `320d`) tells beside its make, or None."""
    if make == "Mercedes-Benz" and (found := _MERCEDES.fullmatch(engine)):
        return f"Classe {found[1].upper()}"
    if make == "BMW" and (found := _BMW.fullmatch(engine)):
        return f"Serie {found[1] or found[2]}"
    return None
