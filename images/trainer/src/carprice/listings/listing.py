"""What a listing is: the canonical columns, the headers and values that scrapers use for them, the checks.

Everything that reads, trains on, prices or asks for a listing takes its columns from here.
"""

from __future__ import annotations

import datetime
import difflib
import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray

from carprice.errors import DataRefused

if TYPE_CHECKING:
    import pandera.pandas as pa

Kind = Literal["text", "number", "flag", "time"]
Values = npt.NDArray[Any] | ExtensionArray


@dataclass(frozen=True)
class Column:
    """One canonical column.

    In memory `text` is object (str or None), `number` float64 (NaN unknown), `flag` float64 (1 yes,
    0 no, NaN unknown: a form that Parquet and scikit-learn both keep) and `time` datetime64[us, UTC].
    `raw` is the raw field it is read from, where that is not a field of its own name.
    """

    name: str
    kind: Kind
    low: float | None = None
    high: float | None = None
    required: bool = False
    raw: str = ""

    @property
    def field(self) -> str:
        """The raw field the values come from."""
        return self.raw or self.name


EQUIPMENT: tuple[str, ...] = (
    "alloy_wheels",
    "airbags",
    "air_conditioning",
    "gps",
    "sunroof",
    "leather_seats",
    "parking_sensors",
    "rear_camera",
    "electric_windows",
    "abs",
    "esp",
    "cruise_control",
    "speed_limiter",
    "cd_mp3_bluetooth",
    "onboard_computer",
    "remote_central_locking",
)

FIRST_YEAR = 1950
LONGEST_TEXT = 200
LONGEST_URL = 2000

_COLUMNS: tuple[Column, ...] = (
    Column("listing_id", "text", required=True),
    Column("url", "text"),
    Column("city", "text"),
    Column("district", "text"),
    Column("make", "text", required=True),
    Column("model", "text", required=True),
    # the newest plausible year moves with the calendar: see `schema`
    Column("model_year", "number", FIRST_YEAR, None, required=True),
    Column("mileage_km_min", "number", 0, 2_000_000, required=True, raw="mileage"),
    # unknown for an open bracket ("Plus de 500 000")
    Column("mileage_km_max", "number", 0, 2_000_000, raw="mileage"),
    Column("fuel", "text", required=True),
    Column("fiscal_power_cv", "number", 1, 200),
    Column("gearbox", "text"),
    Column("doors", "number", 1, 9),
    Column("origin", "text"),
    Column("first_owner", "flag", 0, 1),
    Column("condition", "text"),
    *(Column(name, "flag", 0, 1) for name in EQUIPMENT),
    # Prices with a zero too many are real listings: training flags them, ingestion keeps them.
    Column("price_mad", "number", 0, None, required=True),
    Column("scraped_at", "time"),
    Column("source_sha256", "text"),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _COLUMNS}

_NOT_FEATURES = {"listing_id", "url", "price_mad", "scraped_at", "source_sha256"}
FEATURES: tuple[str, ...] = tuple(name for name in COLUMNS if name not in _NOT_FEATURES)
TEXT_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if COLUMNS[name].kind == "text")
NUMBER_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if COLUMNS[name].kind == "number")
FLAG_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if COLUMNS[name].kind == "flag")

# Raw fields without which no row can be used; batch prediction does without the price.
REQUIRED: tuple[str, ...] = ("make", "model", "model_year", "mileage", "fuel", "price_mad")

# Raw field -> the header shown to a data owner, then every other header known for it. Matching
# ignores case, accents, punctuation, spaces and a unit at the end ("Prix (DH)").
HEADERS: dict[str, tuple[str, ...]] = {
    "listing_id": ("listing_id", "id annonce", "ad id"),
    "url": ("Lien", "url", "link", "lien annonce", "lien de l'annonce", "ad link"),
    "city": ("Ville", "city", "town", "localisation"),
    "district": ("Secteur", "district", "quartier", "area"),
    "make": ("Marque", "make", "brand", "manufacturer", "constructeur"),
    "model": ("Modèle", "model", "car model"),
    "model_year": (
        "Année-Modèle",
        "model_year",
        "année",
        "year",
        "année du modèle",
        "année de mise en circulation",
    ),
    "mileage": ("Kilométrage", "mileage", "mileage_km", "odometer", "kilomètres", "km", "kms"),
    "mileage_km_min": ("mileage_km_min", "kilométrage min"),
    "mileage_km_max": ("mileage_km_max", "kilométrage max"),
    "fuel": ("Type de carburant", "fuel", "fuel type", "carburant", "énergie"),
    "fiscal_power_cv": ("Puissance fiscale", "fiscal_power_cv", "fiscal power", "puissance"),
    "gearbox": ("Boite de vitesses", "gearbox", "boîte", "boîte à vitesses", "transmission"),
    "doors": ("Nombre de portes", "doors", "portes", "number of doors"),
    "origin": ("Origine", "origin", "provenance"),
    "first_owner": ("Première main", "first_owner", "1ère main", "first hand"),
    "condition": ("État", "condition", "état du véhicule"),
    "alloy_wheels": ("Jantes aluminium", "alloy_wheels", "jantes alu"),
    "airbags": ("Airbags", "airbag"),
    "air_conditioning": ("Climatisation", "air_conditioning", "clim", "aircon"),
    "gps": ("Système de navigation/GPS", "gps", "navigation", "système de navigation", "navigation/gps"),
    "sunroof": ("Toit ouvrant", "sunroof"),
    "leather_seats": ("Sièges cuir", "leather_seats", "cuir"),
    "parking_sensors": ("Radar de recul", "parking_sensors", "radars de recul"),
    "rear_camera": ("Caméra de recul", "rear_camera", "reversing camera"),
    "electric_windows": ("Vitres électriques", "electric_windows"),
    "abs": ("ABS",),
    "esp": ("ESP",),
    "cruise_control": ("Régulateur de vitesse", "cruise_control"),
    "speed_limiter": ("Limiteur de vitesse", "speed_limiter"),
    "cd_mp3_bluetooth": ("CD/MP3/Bluetooth", "cd_mp3_bluetooth"),
    "onboard_computer": ("Ordinateur de bord", "onboard_computer", "on-board computer"),
    "remote_central_locking": (
        "Verrouillage centralisé à distance",
        "remote_central_locking",
        "verrouillage centralisé",
        "central locking",
    ),
    "price_mad": ("Prix", "price_mad", "price", "prix de vente"),
    "scraped_at": ("scraped_at", "date", "date de collecte", "date d'extraction", "scraped on"),
    # read from our own exports, always replaced by the file's own
    "source_sha256": ("source_sha256",),
}

_UNITS = {"dh", "dhs", "mad", "km", "kms", "cv", "ch"}


def header_key(header: str) -> str:
    """A header reduced to what counts: lower case ASCII words."""
    plain = unicodedata.normalize("NFKD", header).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z0-9]+", " ", plain).strip()


@lru_cache(maxsize=1)
def _fields_by_header() -> dict[str, str]:
    return {header_key(header): name for name, headers in HEADERS.items() for header in headers}


def field_of(header: str) -> str | None:
    """The raw field a header stands for, or None."""
    key = header_key(header)
    known = _fields_by_header()
    if key in known:
        return known[key]
    words = key.split()
    while words and words[-1] in _UNITS:
        words.pop()
    return known.get(" ".join(words))


def is_index_header(header: str) -> bool:
    """Whether a header is that of an unnamed row-number column, as pandas writes one."""
    return re.fullmatch(r"|unnamed: \d+", header.strip().casefold()) is not None


@dataclass(frozen=True)
class Recognised:
    """How the columns of a raw table map to raw fields."""

    columns: Mapping[str, str]  # raw field -> column of the table
    unknown: tuple[str, ...]  # columns nobody knows, kept aside
    second: tuple[str, ...]  # columns that stand for a field that another one already holds
    missing: tuple[str, ...]  # required raw fields that no column holds

    def name(self, raw_field: str) -> str:
        """The file's own word for a raw field, or the usual header where it has none."""
        return self.columns.get(raw_field) or HEADERS[raw_field][0]


def recognise(columns: Sequence[str], require_price: bool = True) -> Recognised:
    """Map the columns of a raw table to raw fields; the first column of a field counts."""
    found: dict[str, str] = {}
    unknown, second = [], []
    for column in columns:
        name = field_of(column)
        if name is None:
            if not is_index_header(column):
                unknown.append(column)
        elif name in found:
            second.append(column)
        else:
            found[name] = column
    held = set(found)
    if "mileage_km_min" in found:
        held.add("mileage")
    required = REQUIRED if require_price else tuple(n for n in REQUIRED if n != "price_mad")
    missing = tuple(name for name in required if name not in held)
    return Recognised(found, tuple(unknown), tuple(second), missing)


def missing_sentence(found: Recognised, columns: Sequence[str]) -> str:
    """Which required columns are missing, what was found instead and which of those comes close."""
    names = [HEADERS[name][0] for name in found.missing]
    known = [column for column in columns if not is_index_header(column)]
    keys = {header_key(column): column for column in (*found.unknown, *found.second)}
    guesses = []
    for name in found.missing:
        for alias in HEADERS[name]:
            close = difflib.get_close_matches(header_key(alias), keys, n=1, cutoff=0.7)
            if close:
                guesses.append(f"{keys[close[0]]!r} looks like {HEADERS[name][0]!r}")
                break
    listed = ", ".join(repr(_short(column)) for column in known[:40]) or "none"
    more = f" and {len(known) - 40} more" if len(known) > 40 else ""
    return (
        f"the required column{'s' if len(names) > 1 else ''} {', '.join(repr(n) for n in names)} "
        f"{'are' if len(names) > 1 else 'is'} missing; the columns found are {listed}{more}"
        + (f" ({'; '.join(guesses)})" if guesses else "")
        + "; add or rename the column and land the file again"
    )


def _short(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


# Values ---------------------------------------------------------------------------------------------

_UNKNOWN = {
    "",
    "n/a",
    "na",
    "n.a.",
    "n.a",
    "#n/a",
    "nan",
    "nat",
    "null",
    "none",
    "nc",
    "n.c.",
    "n/c",
    "inconnu",
    "inconnue",
    "unknown",
    "non spécifié",
    "non spécifiée",
    "non renseigné",
    "non renseignée",
    "non communiqué",
    "prix non spécifié",
    "prix à débattre",
    "autre / inconnu",
}
_YES = {"true", "oui", "yes", "vrai", "1", "1.0", "y", "o", "x", "✓", "✔", "نعم"}
_NO = {"false", "non", "no", "faux", "0", "0.0", "n", "لا"}
_DASHES = re.compile(r"[‐‑‒–—―−]")
_GROUPED = re.compile(r"([+-]?)(\d{1,3}(?:([ .,'])\d{3})(?:\3\d{3})*)(?:([.,])(\d{1,2}))?")
_PLAIN = re.compile(r"([+-]?\d+)(?:[.,](\d+))?")
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?e[+]?\d{1,2}")
_MONEY = re.compile(r"\b(?:mad|dirhams?|dhs?)\b\.?")
_KILOMETRES = re.compile(r"\b(?:kms?|kilom[eè]tres?|kilometers?)\b\.?")
_POWER = re.compile(r"\b(?:cv|chevaux|ch)\b\.?")
_DOORS = re.compile(r"\b(?:portes?|doors?)\b\.?")
# a unit written against its number ("60000DH", "6CV")
_GLUED = re.compile(r"(?<=\d)(?=[^\W\d_])")


def tidy(value: str) -> str:
    """The site's own spelling without stray spaces, in composed Unicode."""
    return " ".join(unicodedata.normalize("NFC", value).split())


def is_unknown(value: str) -> bool:
    """Whether a value says that nothing is known: empty, `--`, `N/A`, ..."""
    plain = tidy(value).casefold()
    return plain in _UNKNOWN or not plain.strip("-–—_?. ")


def parse_text(value: str) -> str | None:
    """A category in the site's own spelling. Raises ValueError when it is too long to be one."""
    if is_unknown(value):
        return None
    text = tidy(value)
    if len(text) > LONGEST_TEXT:
        raise ValueError
    return text


def parse_url(value: str) -> str | None:
    """A link. Raises ValueError when it is too long."""
    if is_unknown(value):
        return None
    text = value.strip()
    if len(text) > LONGEST_URL:
        raise ValueError
    return text


def parse_amount(value: str, unit: re.Pattern[str] | None = None) -> float | None:
    """A number as people write it: `60000`, `60 000`, `60.000`, `60,000`, `60 000,50`, `6e4`.

    A point or comma before exactly three digits groups thousands; before one or two it is a decimal
    mark. Raises ValueError for anything else.
    """
    if is_unknown(value):
        return None
    text = _DASHES.sub("-", tidy(value).casefold())
    if unit is not None:
        text = " ".join(unit.sub(" ", _GLUED.sub(" ", text)).split())
        # the split above takes "6e4" apart
        text = re.sub(r"(?<=\d) (?=e[+]?\d)", "", text)
    # groups split by typewriter or typographic apostrophes
    text = text.replace("’", "'")
    grouped = _GROUPED.fullmatch(text)
    if grouped and (grouped[4] is None or grouped[4] != grouped[3]):
        whole = re.sub(r"\D", "", grouped[2])
        number = float(f"{grouped[1]}{whole}.{grouped[5] or 0}")
    elif plain := _PLAIN.fullmatch(text):
        number = float(f"{plain[1]}.{plain[2] or 0}")
    elif _SCIENTIFIC.fullmatch(text):
        number = float(text.replace(",", "."))
    else:
        raise ValueError
    if not math.isfinite(number) or abs(number) >= 1e15:
        raise ValueError
    return number


def parse_price(value: str) -> float | None:
    """An amount in dirhams: `60000`, `60 000`, `60,000 DH`, `60.000 Dhs`. Raises ValueError."""
    return parse_amount(value, _MONEY)


def parse_mileage(value: str) -> tuple[float, float] | None:
    """Least and largest kilometres: a bracket (`200 000 - 249 999`) or an exact value for both.

    An open bracket (`Plus de 500 000`) has NaN as its largest. Raises ValueError.
    """
    if is_unknown(value):
        return None
    text = _DASHES.sub("-", tidy(value).casefold())
    text = " ".join(_KILOMETRES.sub(" ", _GLUED.sub(" ", text)).split())
    text = re.sub(r"(?<=\d) (?=e[+]?\d)", "", text)
    if at_least := re.fullmatch(r"(?:plus de|more than|over|>=?)\s*(.+)|(.+?)\s*\+", text):
        return _known(at_least[1] or at_least[2]), math.nan
    if at_most := re.fullmatch(r"(?:moins de|less than|under|<=?)\s*(.+)", text):
        return 0.0, _known(at_most[1])
    bounds = re.split(r"(?<=\d)\s*(?:-|\bà\b|\bto\b)\s*(?=\d)", text)
    if len(bounds) == 1:
        exact = _known(text)
        return exact, exact
    if len(bounds) != 2:
        raise ValueError
    low, high = _known(bounds[0]), _known(bounds[1])
    if low > high:
        raise ValueError
    return low, high


def _known(value: str) -> float:
    number = parse_amount(value)
    if number is None:
        raise ValueError
    return number


def parse_power(value: str) -> float | None:
    """Fiscal horsepower: `6`, `6.0`, `6 CV`, `Plus de 41 CV`. Raises ValueError."""
    return parse_amount(re.sub(r"^\s*plus de\s+", "", value, flags=re.IGNORECASE), _POWER)


def parse_doors(value: str) -> float | None:
    """A number of doors: `5`, `5.0`, `5 portes`. Raises ValueError."""
    return _whole(parse_amount(value, _DOORS))


def parse_year(value: str) -> float | None:
    """A model year: `2015`, `2015.0`, `1980 ou plus ancien`. Raises ValueError."""
    if is_unknown(value):
        return None
    text = re.sub(r"\s+(?:ou plus ancien|ou avant|or older)$", "", tidy(value).casefold())
    plain = _PLAIN.fullmatch(text)
    if plain is None or len(plain[1].lstrip("+-")) > 9:
        raise ValueError
    return _whole(float(f"{plain[1]}.{plain[2] or 0}"))


def _whole(number: float | None) -> float | None:
    if number is not None and number != int(number):
        raise ValueError
    return number


def parse_flag(value: str) -> float | None:
    """Yes (1.0) or no (0.0) in French, English or as a program writes it. Raises ValueError."""
    if is_unknown(value):
        return None
    text = tidy(value).casefold()
    if text in _YES:
        return 1.0
    if text in _NO:
        return 0.0
    raise ValueError


def parse_time(value: str) -> datetime.datetime | None:
    """A moment, taken as UTC where it names no zone: ISO 8601 or `31/12/2023 [23:59]`. Raises ValueError."""
    if is_unknown(value):
        return None
    text = tidy(value)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        day, _, clock = text.partition(" ")
        shape = "%d/%m/%Y" + {0: "", 1: " %H:%M", 2: " %H:%M:%S"}.get(clock.count(":") if clock else 0, "")
        moment = datetime.datetime.strptime(f"{day} {clock}".strip(), shape)
    if not 1990 <= moment.year <= 2200:
        raise ValueError
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)


# What a readable value of each raw field looks like, for the sentence about one that is not.
_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "url": (parse_url, f"longer than {LONGEST_URL} characters"),
    "model_year": (parse_year, "not a year such as 2015"),
    "mileage": (parse_mileage, "not a mileage such as '200 000 - 249 999' or '173 000 km'"),
    "mileage_km_min": (parse_mileage, "not a number of kilometres such as 200000"),
    "mileage_km_max": (parse_mileage, "not a number of kilometres such as 249999"),
    "fiscal_power_cv": (parse_power, "not a fiscal power such as '6 CV'"),
    "doors": (parse_doors, "not a number of doors such as 5"),
    "price_mad": (parse_price, "not an amount in dirhams such as 60000 or '60 000 DH'"),
    "scraped_at": (parse_time, "not a date such as 2023-12-31 or 31/12/2023"),
}
_TEXT_READER: tuple[Callable[[str], Any], str] = (parse_text, f"longer than {LONGEST_TEXT} characters")
_FLAG_READER: tuple[Callable[[str], Any], str] = (parse_flag, "not a yes or no")


def _reader(raw_field: str) -> tuple[Callable[[str], Any], str]:
    column = COLUMNS.get(raw_field)
    kind = column.kind if column is not None else "number"
    return _READERS.get(raw_field) or {"text": _TEXT_READER, "flag": _FLAG_READER}[kind]


class _Limits(NamedTuple):
    """The least and the largest value of a column, and both in words."""

    low: float
    high: float
    said: str


def newest_year(today: datetime.date | None = None) -> int:
    """The newest plausible model year: that of `today` (by default the current day, UTC) plus one."""
    return (today or datetime.datetime.now(datetime.UTC).date()).year + 1


@lru_cache(maxsize=256)
def _limits(name: str, newest: int) -> _Limits | None:
    """Which values of a canonical column are plausible, when `newest` is the newest model year."""
    column = COLUMNS[name]
    if name == "price_mad":
        return _Limits(math.nextafter(0, 1), math.inf, "more than 0 dirhams")
    if name == "model_year":
        return _Limits(FIRST_YEAR, newest, f"from {FIRST_YEAR} to {newest}")
    if column.low is None or column.high is None:
        return None
    said = f"from {column.low:,.0f} to {column.high:,.0f}".replace(",", " ")
    return _Limits(column.low, column.high, said)


@lru_cache(maxsize=256)
def accepted_values(raw_field: str, newest: int) -> str:
    """What a value of a raw field may be, in words, when `newest` is the newest model year."""
    reader, complaint = _reader(raw_field)
    if reader is parse_text:
        return f"text of at most {LONGEST_TEXT} characters"
    name = "mileage_km_min" if raw_field == "mileage" else raw_field
    limits = _limits(name, newest)
    readable = complaint.removeprefix("not ")
    return readable if limits is None or reader is parse_flag else f"{readable} ({limits.said})"


# Tables ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parsed:
    """A raw table read into canonical columns.

    `listings` has one row per raw row, in its order and with its index; `problems` (object, same
    index) holds None for a good row, otherwise its reasons joined by "; ". `reasons` counts the rows
    of each reason, most frequent first; a row with two reasons counts under both.
    """

    listings: pd.DataFrame
    problems: pd.Series[Any]
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> pd.Series[bool]:
        """Which rows can be used."""
        return self.problems.isna()


def as_canonical(table: pd.DataFrame) -> pd.DataFrame:
    """The canonical columns of a table that holds any of them, in order and typed as `Column` says.

    Parquet and the readers of other tools change `None` and strings; this puts them right.
    """
    out: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        if name not in table:
            values: Values = _empty(column.kind, len(table))
        elif column.kind == "text":
            series = table[name].astype(object)
            values = series.where(series.notna(), None).to_numpy(dtype=object)
        elif column.kind == "time":
            values = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]").array
        else:
            values = pd.to_numeric(table[name]).to_numpy(dtype=np.float64)
        out[name] = values
    return _frame(out, table.index)


def parse(raw: pd.DataFrame, require_price: bool, faults: Mapping[int, str] | None = None) -> Parsed:
    """Read a raw table (n rows of str under any known headers) into canonical columns.

    Without `require_price` the price is optional and only the columns a model uses are checked, as
    batch prediction needs. `faults` are reasons already known, by row position (as
    `RawFile.faults`); such a row gets no other. Raises `DataRefused` when a required column is missing.
    """
    found = recognise(list(raw.columns), require_price)
    if found.missing:
        raise DataRefused(missing_sentence(found, list(raw.columns)))
    rows = _Rows(raw, found, faults or {})
    canonical: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        checked = require_price or name in FEATURES
        if column.raw == "mileage":
            continue
        if name in {"source_sha256"} or name not in found.columns:
            canonical[name] = _empty(column.kind, len(raw))
        else:
            canonical[name] = rows.read(name, column.kind, checked)
    canonical["mileage_km_min"], canonical["mileage_km_max"] = rows.mileage()
    canonical["listing_id"] = _listing_ids(canonical)
    table = _frame(canonical, raw.index)
    rows.check(table, require_price)
    return rows.parsed(table)


def _frame(values: Mapping[str, Values], index: pd.Index[Any]) -> pd.DataFrame:
    # pandas would turn an object array of strings into its own string type
    columns = {
        name: pd.Series(values[name], index=index, dtype=object if column.kind == "text" else None)
        for name, column in COLUMNS.items()
    }
    return pd.DataFrame(columns, index=index)


def _empty(kind: Kind, rows: int) -> Values:
    if kind == "text":
        return np.full(rows, None, dtype=object)
    if kind == "time":
        return pd.array([pd.NaT] * rows, dtype=pd.DatetimeTZDtype("us", "UTC"))
    return np.full(rows, np.nan)


class _Rows:
    """Collects the values and the reasons while a raw table is read, one unique value at a time."""

    def __init__(self, raw: pd.DataFrame, found: Recognised, faults: Mapping[int, str]) -> None:
        self.raw = raw
        self.found = found
        self.usable = np.ones(len(raw), dtype=bool)
        self.usable[list(faults)] = False
        # reason -> whether each row has it; raw field -> rows whose value is not readable
        self.reasons: dict[str, npt.NDArray[np.bool_]] = {}
        self.unreadable: dict[str, npt.NDArray[np.bool_]] = {}
        for sentence in sorted(set(faults.values())):
            mask = np.zeros(len(raw), dtype=bool)
            mask[[row for row, fault in faults.items() if fault == sentence]] = True
            self.reasons[sentence] = mask

    def refuse(self, raw_field: str, what: str, mask: npt.NDArray[np.bool_]) -> None:
        mask = mask & self.usable
        if mask.any():
            reason = f"{self.found.name(raw_field)}: {what}"
            self.reasons[reason] = self.reasons.get(reason, np.zeros(len(mask), dtype=bool)) | mask

    def values(self, raw_field: str, checked: bool = True) -> tuple[list[Any], npt.NDArray[np.int64]]:
        """The distinct read values (None where unknown or unreadable) and each row's place among them."""
        reader, complaint = _reader(raw_field)
        codes, uniques = pd.factorize(self.raw[self.found.columns[raw_field]])
        read: list[Any] = []
        bad = np.zeros(len(uniques), dtype=bool)
        for place, value in enumerate(uniques):
            try:
                read.append(reader(value))
            except (ValueError, OverflowError):
                read.append(None)
                bad[place] = True
        mask = bad[codes] if len(uniques) else np.zeros(len(self.raw), dtype=bool)
        self.unreadable[raw_field] = mask
        if checked:
            self.refuse(raw_field, complaint, mask)
        return read, codes

    def read(self, raw_field: str, kind: Kind, checked: bool) -> Values:
        read, codes = self.values(raw_field, checked)
        if not read:
            return _empty(kind, len(self.raw))
        if kind == "text":
            distinct = np.empty(len(read), dtype=object)
            distinct[:] = read
            return distinct[codes]
        if kind == "time":
            return pd.array(read, dtype=pd.DatetimeTZDtype("us", "UTC"))[codes]
        return np.array([np.nan if v is None else v for v in read], dtype=np.float64)[codes]

    def mileage(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Least and largest kilometres: from a bracket column, or from a column for each."""

        def bounds(raw_field: str) -> npt.NDArray[np.float64]:
            read, codes = self.values(raw_field)
            pairs = np.array([(np.nan, np.nan) if v is None else v for v in read], dtype=np.float64)
            return pairs.reshape(-1, 2)[codes]

        if "mileage" in self.found.columns:
            pair = bounds("mileage")
            return pair[:, 0], pair[:, 1]
        low = bounds("mileage_km_min")[:, 0]
        high = bounds("mileage_km_max")[:, 1] if "mileage_km_max" in self.found.columns else low
        self.refuse(self._mileage_field, "the least mileage is larger than the largest", low > high)
        return low, high

    @property
    def _mileage_field(self) -> str:
        return "mileage" if "mileage" in self.found.columns else "mileage_km_min"

    def check(self, table: pd.DataFrame, require_price: bool) -> None:
        """Validate with the Pandera schema and turn each failure case into a reason of its row."""
        import pandera.errors

        try:
            schema(require_price).validate(table.reset_index(drop=True), lazy=True)
            return
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases
        broken = cases[cases["index"].isna()]
        if len(broken):  # a column of the wrong type: our mistake, not the file's
            raise TypeError(f"the canonical table does not fit its schema: {broken.to_dict('records')}")
        for (name, check), group in cases.groupby(["column", "check"], sort=False):
            column = COLUMNS[str(name)]
            raw_field = self._mileage_field if column.raw == "mileage" else column.field
            mask = np.zeros(len(table), dtype=bool)
            mask[group["index"].to_numpy(dtype=np.int64)] = True
            for unreadable in {raw_field, column.name} & set(self.unreadable):
                mask &= ~self.unreadable[unreadable]
            self.refuse(raw_field, "empty or unknown" if check == "not_nullable" else str(check), mask)

    def parsed(self, table: pd.DataFrame) -> Parsed:
        sentences: list[list[str]] = [[] for _ in range(len(table))]
        counts = {reason: int(mask.sum()) for reason, mask in self.reasons.items()}
        for reason in sorted(counts, key=lambda r: (-counts[r], r)):
            for row in np.flatnonzero(self.reasons[reason]):
                sentences[row].append(reason)
        problems = pd.Series(
            [("; ".join(each) if each else None) for each in sentences], index=table.index, dtype=object
        )
        ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        return Parsed(table, problems, {reason: n for reason, n in ordered.items() if n})


def _listing_ids(table: Mapping[str, Values]) -> npt.NDArray[Any]:
    """The id each row brings, else that of its link, else a hash of what the row says of the car."""
    ids = np.array(table["listing_id"], dtype=object)
    urls = table["url"]
    for row in np.flatnonzero(pd.isna(ids)):
        if urls[row] is not None:
            ids[row] = listing_id_of_url(urls[row])
    without = np.flatnonzero(pd.isna(ids))
    if len(without):
        columns = []
        for name in FEATURES:
            codes, uniques = pd.factorize(np.asarray(table[name])[without])
            words = [tidy(str(value)).casefold() for value in uniques]
            columns.append([words[code] if code >= 0 else "" for code in codes])
        for row, said in zip(without, zip(*columns, strict=True), strict=True):
            ids[row] = "row-" + hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:20]
    return ids


def listing_id_of_url(url: str) -> str:
    """The identity of an ad: its site and the last number of its link, else a hash of the link.

    The words of a link change when a seller edits the title; the number stays.
    """
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
        path = parts.path
    except ValueError:
        host, path = "", url
    number = re.search(r"(\d{5,})(?!.*\d{5})", path)
    if host and number:
        return f"{host}-{number[1]}"
    return "link-" + hashlib.sha256(f"{host}{path}".encode()).hexdigest()[:20]


def schema(require_price: bool = True, today: datetime.date | None = None) -> pa.DataFrameSchema:
    """The Pandera schema of the canonical table; validate lazily to get every failure.

    Without `require_price` only the columns a model uses are checked. `today` is by default the
    current day, UTC.
    """
    import pandera.pandas as pa

    newest = newest_year(today)
    columns: dict[str, pa.Column] = {}
    for name, column in COLUMNS.items():
        checked = name in FEATURES or require_price
        checks = []
        limits = _limits(name, newest)
        if limits is not None and checked:
            checks.append(pa.Check.in_range(limits.low, limits.high, error=f"must be {limits.said}"))
        dtype: Any = {"text": object, "time": pd.DatetimeTZDtype("us", "UTC")}.get(column.kind, float)
        columns[name] = pa.Column(dtype, checks, nullable=not (column.required and checked))
    return pa.DataFrameSchema(columns, strict=True, ordered=True, name="listings")


# One listing ----------------------------------------------------------------------------------------

LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Problem:
    """One value of one listing that can't be used.

    `field` is the caller's own word for it (the canonical name where it is missing), `value` what was
    found, shortened, or None, `accepted` what would be taken.
    """

    field: str
    value: str | None
    accepted: str

    def sentence(self) -> str:
        """What was expected of the field and what was found."""
        found = "nothing" if self.value is None else f"'{self.value}'"
        return f"{self.field}: {self.accepted} was expected, found {found}"


@dataclass(frozen=True)
class OneRead:
    """One listing, read.

    `values` holds every one of FEATURES and `price_mad`: str for text, float for the rest, None where
    unknown or unreadable. `unknown_fields` are the caller's fields that nothing was read from. The
    values are those of a listing only where there are no `problems`.
    """

    values: dict[str, str | float | None]
    problems: list[Problem]
    unknown_fields: list[str]


def read_one(record: Mapping[str, Any]) -> OneRead:
    """Read one listing of JSON scalars under any known headers, as `parse(require_price=False)` reads a row.

    A null counts as not given; the price is optional but must be one where it is given. Nothing is
    raised, whatever the record holds: what can't be used is among the problems.
    """
    keys: dict[str, str] = {}  # raw field -> the caller's key
    given: dict[str, Any] = {}  # raw field -> the value, where it is not null
    unused: list[str] = []
    for key, value in record.items():
        raw_field = _field_of_key(key)
        if raw_field is None:
            if not is_index_header(key):
                unused.append(shown(key))
        elif value is None:
            keys.setdefault(raw_field, key)
        elif raw_field in given:
            unused.append(shown(key))
        else:
            keys[raw_field] = key
            given[raw_field] = value
    return _Record(keys, given, unused).read()


class _Record:
    """Collects the values and problems of one listing; the first problem of a field counts."""

    def __init__(self, keys: Mapping[str, str], given: Mapping[str, Any], unused: list[str]) -> None:
        self.keys = keys
        self.given = given
        self.unused = unused
        self.newest = newest_year()
        self.problems: dict[str, Problem] = {}

    def read(self) -> OneRead:
        values: dict[str, str | float | None] = dict.fromkeys((*FEATURES, "price_mad"))
        for name in values:
            if COLUMNS[name].raw != "mileage":
                values[name] = self.within(name, name, self.value(name))
                self.require(name, name, values[name])
        values["mileage_km_min"], values["mileage_km_max"] = self.mileage()
        return OneRead(values, list(self.problems.values()), self.unused)

    def refuse(self, raw_field: str, accepted: str = "") -> None:
        found = self.given.get(raw_field)
        key = self.keys.get(raw_field, raw_field)
        accepted = accepted or accepted_values(raw_field, self.newest)
        problem = Problem(shown(key), None if found is None else shown(found), accepted)
        self.problems.setdefault(raw_field, problem)

    def value(self, raw_field: str) -> Any:
        """What the reader of the field makes of its value; None where unknown or unreadable."""
        if raw_field not in self.given:
            return None
        reader, _ = _reader(raw_field)
        try:
            return reader(_as_written(self.given[raw_field], raw_field))
        except (ValueError, OverflowError):
            self.refuse(raw_field)
            return None

    def within(self, name: str, raw_field: str, value: Any) -> Any:
        """The value, None where it is beyond the limits of its column."""
        limits = _limits(name, self.newest)
        if limits is None or value is None or limits.low <= value <= limits.high:
            return value
        self.refuse(raw_field)
        return None

    def require(self, name: str, raw_field: str, value: Any) -> None:
        if value is None and COLUMNS[name].required and name in FEATURES:
            self.refuse(raw_field)

    def mileage(self) -> tuple[float | None, float | None]:
        """Least and largest kilometres: from a bracket, or from a field for each, as `_Rows.mileage`."""
        low_field = high_field = "mileage"
        if "mileage" not in self.given and "mileage_km_min" in self.keys:
            low_field = "mileage_km_min"
            high_field = "mileage_km_max" if "mileage_km_max" in self.keys else low_field
        for other in ("mileage_km_min", "mileage_km_max"):
            if other in self.given and other not in (low_field, high_field):
                self.unused.append(shown(self.keys[other]))
        lowest, highest = self.value(low_field), self.value(high_field)
        low = None if lowest is None else lowest[0]
        # without a field of its own, the largest is the least, or the end of the bracket
        end = 0 if high_field == "mileage_km_min" else 1
        # an open bracket has no largest
        high = None if highest is None or math.isnan(highest[end]) else highest[end]
        if low is not None and high is not None and low > high:
            self.refuse(low_field, "no more than the largest mileage")
        low = self.within("mileage_km_min", low_field, low)
        high = self.within("mileage_km_max", high_field, high)
        self.require("mileage_km_min", low_field, low)
        return low, high


_field_of_short_key = lru_cache(maxsize=1024)(field_of)


def _field_of_key(key: str) -> str | None:
    # what strangers send must not fill the memory
    return _field_of_short_key(key) if len(key) <= LONGEST_SHOWN else None


def _as_written(value: Any, raw_field: str) -> str:
    """A JSON scalar as the readers take it. Raises ValueError for what can't be a value of the field."""
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair is no text; UnicodeEncodeError is a ValueError
        return value
    kind = COLUMNS[raw_field].kind if raw_field in COLUMNS else "number"
    if isinstance(value, bool):
        if kind != "flag":
            raise ValueError
        return "yes" if value else "no"
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) >= 1e15:
        raise ValueError
    if value == int(value):
        return str(int(value))
    # Many decimals: three would be read as a group of thousands.
    return repr(value) if kind == "text" else f"{value:.6f}"


def shown(value: Any) -> str:
    """A value a stranger sent, short and printable."""
    if isinstance(value, str):
        short = _short(value[: LONGEST_SHOWN + 1], LONGEST_SHOWN)
        return short.encode(errors="replace").decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**LONGEST_SHOWN else "a number of more than 80 digits"
    if isinstance(value, float):
        return repr(value)
    return "a list" if isinstance(value, list | tuple) else "an object"
