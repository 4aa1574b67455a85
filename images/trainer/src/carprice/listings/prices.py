"""Asking prices as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from carprice.listings.amounts import NUMBER, UnusableValue, plain_text, read_number

# No car costs as much; two amounts side by side without a unit between them do.
_LARGEST = 1_000_000_000
# Below, an amount with centimes is no price of a car: "12.5" is 12,500 dirhams, or something else.
_LEAST_WITH_CENTIMES = 1_000
# A price that falls by more is no new price of the same car.
_LEAST_OF_OLD_PRICE = 0.5

_DIRHAMS = r"(?:mad|dirhams?|dhs?|dh\.s|د\.? ?م\.?|درهم|دراهم)(?![^\W\d])\.?"
_OTHER_CURRENCY = re.compile(
    r"[€$£¥]|(?<![a-z])(?:k?eur|euros?|usd|us dollars?|dollars?|gbp|pounds?|aed|sar|dzd|tnd|qar|xof|fcfa|cfa|"
    r"chf|cad)(?![a-z])|يورو|دولار|اورو|أورو"
)
_SOLD = re.compile(
    r"(?<![a-z])(?:vendue?s?|deja vendue?|sold(?: out)?|reserved|reservee?s?)(?![a-z])|مباع|تم البيع|تباعت"
)
_RATE = re.compile(
    r"\s*(?:(?:/|par|per|chaque|each)\s*(?:mois|month|mo|jours?|days?|semaines?|weeks?|an|year|heure|hour|24h)"
    r"(?![a-z])|mensuel\w*|mensualites?|monthly|(?:dh|dhs|mad)\s*/?\s*(?:mois|jours?)(?![a-z])|"
    r"(?:في )?الشهر|شهريا|لليوم|يوميا)"
)
_BEFORE_RATE = re.compile(
    r"(?:(?<![a-z])(?:ou|soit|or|a partir de|from|des|credit|mensualites? ?:?|traite)\s*)+$|[|/+]\s*$"
)
_NOT_THE_PRICE = re.compile(
    r"(?<![a-z])(?:avance|apport|acompte|traites?|leasing|loa|lld|location|louer|a partir|from|des|jusqu|"
    r"environ de|neuve? a|valeur|frais|dedouanement|ht|hors taxes?|km|kms|cv)(?![a-z])"
)
_INSTEAD_OF = re.compile(r"(?<![a-z])(?:au lieu de|a la place de|instead of|was|ancien prix|avant)(?![a-z])")
# What stands between and around an old and a new price; another word makes an amount a debt or an estimate.
_OLD_AND_NEW = re.compile(
    r"</?[a-z][^<>]*>|(?<![a-z])(?:de|a|etait|puis|barre|reduite? a|soldee?|discount(?:ed)?|old|reduced to|"
    r"from|to)(?![a-z])|القديم|الجديد|القديمة|الجديدة|[→⇒➜►•·>]"
)
_ASK = re.compile(
    r"appel|contact|demand|debattre|discut|negoci|call|request|(?<![a-z])ask(?![a-z])|poa|whatsapp|telephone|"
    r"(?<![a-z])tel(?![a-z])|consult|sur place|voir|offre|offer|gratuit|free|echange|non specifie|"
    r"non precise|communique|renseigne|sans prix|no price|prix non|not specified|"
    r"اتصل|الاتصال|للتفاوض|قابل|حسب|تواصل|السوم"
)
_PHONE = re.compile(r"(?:\+212|00212|(?<!\d)0)[ .-]?[5-8](?:[ .-]?\d){8}(?!\d)")
_LABEL = re.compile(
    r"(?:up|down)ward ?arrow ?icon|prix a la baisse|prix en baisse|prix en hausse|baisse de prix|price drop|"
    r"prix|price|(?:le|de vente|demande|actuel|ancien|maintenant|fixe|ferme|final|net|ttc|promo|promotion|"
    r"nouveau|new|now|only|seulement|asking|negociable|non|a debattre|debattre|ou meilleure offre|urgent|"
    r"cash|comptant|tout compris)(?![a-z])|السعر|الثمن"
)
_SCALES = {
    "million": 1_000_000,
    "millions": 1_000_000,
    "mdh": 1_000_000,
    "mdhs": 1_000_000,
    "m": 1_000_000,
    "مليون": 1_000_000,
    "ملايين": 1_000_000,
    "mille": 1_000,
    "milles": 1_000,
    "k": 1_000,
    "kdh": 1_000,
    "kdhs": 1_000,
    "alf": 1_000,
    "الف": 1_000,
    "ألف": 1_000,
    "الاف": 1_000,
    "آلاف": 1_000,
}
# dirhams in one unit, where it is written
_SMALL_UNITS = {
    **dict.fromkeys(("centime", "centimes", "cts", "ctm", "سنتيم", "سنتيمات"), 0.01),
    **dict.fromkeys(("riyal", "riyals", "rial", "rials", "ryal", "ryals", "ريال"), 0.05),
}
_AMOUNT = re.compile(
    rf"(?P<before>{_DIRHAMS}\s*)?(?P<number>{NUMBER})\s*"
    rf"(?P<scale>(?:{'|'.join(sorted(map(re.escape, _SCALES), key=len, reverse=True))})(?!\w)\s*)?"
    rf"(?:de\s+|d')?(?P<small>(?:{'|'.join(sorted(_SMALL_UNITS, key=len, reverse=True))})(?!\w)\s*)?"
    rf"[,.]?-?\s*(?P<after>{_DIRHAMS})?"
)
_ACCENTS = str.maketrans("àâäéèêëîïôöùûüç", "aaaeeeeiioouuuc")


@dataclass(frozen=True)
class _Amount:
    """An amount that a text names: dirhams, whether a unit is written, and where it stands."""

    dirhams: float
    in_dirhams: bool
    start: int
    end: int


def read_price(text: str) -> float | None:
    """An asking price in dirhams, from clean text; None where the text names no price.

    `60000`, `60 000`, `60,000 DH`, `60.000 Dhs`, `Prix à la baisse480 000 DH`, `27 000,DH`, `120 mille`,
    `8 millions de centimes` (80,000 dirhams). Of an old and a new price in one text the new one counts, where
    the text tells which it is. A rate per month beside the price is left out.

    Raises `UnusableValue`: `sold`, `other_currency`, `price_per_period`, `two_amounts`, and ValueError for
    anything else that is no amount in dirhams.
    """
    plain = plain_text(text).translate(_ACCENTS)
    if _SOLD.search(plain):
        raise UnusableValue("sold")
    if not any(c.isdigit() for c in plain):
        if _ASK.search(plain):
            return None
        raise ValueError
    without_phone = _PHONE.sub(" ", plain)
    if without_phone != plain:
        if _ASK.search(plain) and not any(c.isdigit() for c in without_phone):
            return None
        plain = without_phone
    plain, has_rate = _without_rates(plain)
    amounts = _amounts(plain)
    if not amounts:
        if has_rate:
            raise UnusableValue("price_per_period", text)
        raise ValueError
    if _OTHER_CURRENCY.search(plain):
        amounts = [amount for amount in amounts if amount.in_dirhams]
        if len(amounts) != 1:
            raise UnusableValue("other_currency", text)
    chosen = amounts[0] if len(amounts) == 1 else _current(plain, amounts)
    if abs(chosen.dirhams) >= _LARGEST:
        raise ValueError
    if 0 < chosen.dirhams < _LEAST_WITH_CENTIMES and chosen.dirhams != int(chosen.dirhams):
        raise ValueError
    if not chosen.in_dirhams and not _is_label(plain[: chosen.start] + " " + plain[chosen.end :]):
        raise ValueError
    if _NOT_THE_PRICE.search(plain):
        raise ValueError
    return chosen.dirhams


def _without_rates(plain: str) -> tuple[str, bool]:
    """The text without amounts per month or day, and whether it had one."""
    kept, position, has_rate = "", 0, False
    for match in _AMOUNT.finditer(plain):
        rate = _RATE.match(plain, match.end())
        before = _RATE.search(plain[max(match.start() - 15, position) : match.start()])
        if rate or before:
            has_rate = True
            kept += _BEFORE_RATE.sub(" ", plain[position : match.start()]) + " "
            position = rate.end() if rate else match.end()
    return kept + plain[position:], has_rate


def _amounts(plain: str) -> list[_Amount]:
    """The amounts that a text names, in its order. Raises ValueError for one whose unit is not told."""
    found: list[_Amount] = []
    for match in _AMOUNT.finditer(plain):
        number = read_number(match["number"])
        negative = not found and plain[: match.start("number")].rstrip().endswith("-")
        scale, small = (match["scale"] or "").strip(), (match["small"] or "").strip()
        written = bool(match["before"] or match["after"] or small or "dh" in scale)
        # "8 millions" is 80,000 or 8,000,000 dirhams: the speaker's unit decides, and it is not written
        if _SCALES.get(scale, 0) == _SCALES["million"] and not written:
            raise ValueError
        dirhams = number * _SCALES.get(scale, 1) * _SMALL_UNITS.get(small, 1) * (-1 if negative else 1)
        found.append(_Amount(round(dirhams, 2), written, match.start() - negative, match.end()))
    return found


def _current(plain: str, amounts: list[_Amount]) -> _Amount:
    """The price that is asked now, of an old one and a new one. Raises `UnusableValue`."""
    if len(amounts) == 2 and all(amount.in_dirhams for amount in amounts):
        first, second = amounts
        if first.dirhams == second.dirhams:
            return first
        between = plain[first.end : second.start]
        around = _INSTEAD_OF.sub(" ", f"{plain[: first.start]} {between} {plain[second.end :]}")
        if not _is_label(_OLD_AND_NEW.sub(" ", _LABEL.sub(" ", around))):
            raise UnusableValue("two_amounts", plain)
        if _INSTEAD_OF.search(between):
            first, second = second, first
        if _LEAST_OF_OLD_PRICE * first.dirhams <= second.dirhams < first.dirhams and "-" not in between:
            return second
        raise UnusableValue("two_amounts", plain)
    raise ValueError


def _is_label(rest: str) -> bool:
    """Whether nothing but the usual words around a price is left of a text."""
    return not _LABEL.sub(" ", _RATE.sub(" ", rest)).strip(" :;,.!?()[]|/*~=-+\"'")
