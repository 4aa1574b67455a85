"""Every reason for which the API refuses a request: its code, its status and its English sentence.

The code and the parameters are the contract; the app makes its own sentences from them in French and in
English. The placeholders of a sentence are the names of its parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal

from price_contract.answers import UnavailableCode

ProblemCode = (
    UnavailableCode
    | Literal[
        "service-error", "path-unknown", "method-not-allowed", "http-error", "invalid-values",
        "invalid-json", "unsupported-media-type", "not-an-object", "not-a-list", "too-many-rows",
        "invalid-file", "model-card-missing", "prediction-unknown", "feedback-of-another",
        "report-unknown", "listings-gone", "query-too-long", "too-many-requests", "key-missing",
        "key-unknown", "key-revoked", "body-too-slow", "body-too-large", "unsupported-encoding",
        "invalid-gzip", "key-unneeded", "feedback-unlikely", "invalid-cursor", "cursor-of-other-filters",
        "cursor-outdated", "listing-unknown", "too-many-listings", "watch-unknown", "too-many-watches",
        "too-many-new-watches",
    ]
)  # fmt: skip
FieldCode = Literal[
    "not_finite", "prediction_id", "price_paid", "number_list", "number", "whole_number", "at_least",
    "at_most", "moment", "flag", "text_length", "list_of_listings", "not_accepted",
    "repeated_key", "plus_not_encoded", "known_field", "known_parameter", "one_file", "not_with_cursor",
    "one_of", "not_above_other",
]  # fmt: skip


@dataclass(frozen=True)
class ProblemKind:
    """The HTTP status and the sentence of a problem: what was expected, what was found, what to do."""

    status: int
    sentence: str


_SEND_A_KEY = "send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`"

PROBLEMS: dict[str, ProblemKind] = {
    "registry-away": ProblemKind(
        503,
        "no price can be given: MLflow does not answer and no model is cached; the service asks MLflow again "
        "every few seconds",
    ),
    "loading": ProblemKind(
        503, "no price can be given: the service is loading the model; try again in a few seconds"
    ),
    "no-model": ProblemKind(
        503,
        "no price can be given: no model is in production yet; land a file and let the pipeline promote one",
    ),
    "version-refused": ProblemKind(
        503, "no price can be given: version {version} was refused: {reason}; promote another version"
    ),
    "database-away": ProblemKind(503, "{reason}"),
    "market-missing": ProblemKind(
        503,
        "no listings can be shown: the cars on offer were not rated yet, or can't be read; the step "
        "`rate-listings` rates them when a model is in production",
    ),
    "keys-away": ProblemKind(503, "the service can't read the API keys at the moment; try again in a moment"),
    "store-away": ProblemKind(503, "the object store of the data does not answer; try again later"),
    "service-error": ProblemKind(
        500,
        "the service failed while it answered; the request is not the reason, the log has the details",
    ),
    "path-unknown": ProblemKind(404, "{method} {path} is not part of this API; /docs lists what is"),
    "method-not-allowed": ProblemKind(
        405, "{method} {path} is not part of this API: this path takes {allowed}; /docs lists everything"
    ),
    "http-error": ProblemKind(400, "{method} {path} was refused: {reason}"),
    "invalid-values": ProblemKind(422, "expected other values of {fields}; /docs has examples"),
    "invalid-json": ProblemKind(
        400, "expected a body of JSON in UTF-8 (without NaN and Infinity), found {found}; /docs has examples"
    ),
    "unsupported-media-type": ProblemKind(
        415, "expected a body of type {expected}, found {found}; name the type in the header `Content-Type`"
    ),
    "unsupported-encoding": ProblemKind(
        415, "expected a body as it is or compressed with {expected}, found the encoding {found}; send it so"
    ),
    "invalid-gzip": ProblemKind(
        400, "expected a gzip body, found one that can't be unpacked; compress and send it again"
    ),
    "feedback-unlikely": ProblemKind(
        409,
        "expected a price near the estimate of {price_mad:,} MAD, found {price_paid_mad:,} MAD; if it is "
        "right, send it again with `confirmed` true",
    ),
    "invalid-cursor": ProblemKind(
        422,
        "expected a `cursor` that an answer of this path gave for its next page, found '{found}'; leave it "
        "out to begin with the first page",
    ),
    "cursor-of-other-filters": ProblemKind(
        422,
        "expected the filters and the order of the answer that gave the `cursor`, found others; send those, "
        "or leave the cursor out to begin with the first page",
    ),
    "cursor-outdated": ProblemKind(
        409,
        "expected a `cursor` of the market of {made_at}, found one of another market: the listings were "
        "rated again since; leave it out to begin with the first page",
    ),
    "listing-unknown": ProblemKind(
        404, "expected the id of a listing that /v1/listings has, found '{listing_id}'"
    ),
    "too-many-listings": ProblemKind(
        422, "expected filters that at most {most:,} listings fit, found {found:,}; narrow them"
    ),
    "watch-unknown": ProblemKind(
        404, "expected the secret of a watch, found another; the watch may have been removed"
    ),
    "too-many-watches": ProblemKind(
        409, "expected fewer than {most} watches, found as many already; remove one that nobody needs"
    ),
    "too-many-new-watches": ProblemKind(
        429,
        "expected at most {most} new watches at once and then one every {every_seconds} s, found more; send "
        "the request again in {wait_seconds} s",
    ),
    "not-an-object": ProblemKind(
        422, "expected a JSON object such as {example}, found {found}; /docs has examples"
    ),
    "not-a-list": ProblemKind(
        422,
        'expected a list of listings, bare or as {{"listings": [...]}}, found {found}; /docs has an example',
    ),
    "too-many-rows": ProblemKind(
        413, "expected at most {most_rows:,} listings, found {found_rows:,}; send them in several batches"
    ),
    "invalid-file": ProblemKind(422, "{reason}"),
    "model-card-missing": ProblemKind(
        404, "expected a model card for version {version}, found none in the data root"
    ),
    "prediction-unknown": ProblemKind(
        404,
        "expected the id of a logged prediction, found '{prediction_id}'; the log removes predictions that "
        "are older than its retention",
    ),
    "feedback-of-another": ProblemKind(
        409,
        "expected feedback on '{prediction_id}' that came with this API key, found that of another; only "
        "that key changes it",
    ),
    "report-unknown": ProblemKind(404, "expected a report that /v1/reports lists, found '{kind}/{name}'"),
    "listings-gone": ProblemKind(409, "{reason}"),
    "query-too-long": ProblemKind(
        414, "expected a query of at most {most_bytes:,} bytes, found {found_bytes:,}; send a shorter one"
    ),
    "too-many-requests": ProblemKind(
        429,
        "expected at most {requests_per_second:g} requests a second, found more; send the request again in "
        "{wait_seconds} s",
    ),
    "key-missing": ProblemKind(401, f"expected an API key, found none; {_SEND_A_KEY}"),
    "key-unknown": ProblemKind(401, f"expected a known API key, found another; {_SEND_A_KEY}"),
    "key-unneeded": ProblemKind(
        401,
        "expected no API key, because this service asks for none, or a known one, found another; leave the "
        "key out, or send a known one",
    ),
    "key-revoked": ProblemKind(
        403,
        "expected an API key that is in force, found a revoked one; ask for another "
        "(`python -m price_api keys create NAME`)",
    ),
    "body-too-slow": ProblemKind(
        408, "expected the whole body within {most_seconds:g} s, found {found_bytes:,} bytes; send it again"
    ),
    "body-too-large": ProblemKind(
        413,
        "expected a body of at most {most_bytes:,} bytes, found {found_bytes:,}; send fewer listings at a "
        "time, and several of them only to /v1/predict/batch",
    ),
}

# What the API accepts where it checks a value itself. `carprice.listings` checks the values of listings.
ACCEPTED: dict[FieldCode, str] = {
    "not_finite": "a finite number",
    "prediction_id": "the id that came with a prediction",
    "price_paid": "the price that was paid, from {low:,.0f} to {high:,.0f} MAD",
    "number_list": "a list of at most {most} numbers from {low:.0f} to {high:.0f}",
    "number": "a number from {low:.0f} to {high:.0f}",
    "whole_number": "a whole number",
    "at_least": "a number of at least {low}",
    "at_most": "a number of at most {high}",
    "moment": "a moment of the years 1 to 9999 in UTC, such as 2026-05-04T12:00:00Z",
    "flag": "true or false",
    "text_length": "text of at most {most} characters",
    "list_of_listings": "a list of listings",
    "repeated_key": "the field once",
    "plus_not_encoded": "a moment with its + written as %2B, such as 2026-05-04T12:00:00%2B01:00",
    "known_field": "one of the fields {known}",
    "known_parameter": "one of the parameters {known}",
    "not_with_cursor": "no page beside a cursor",
    "one_file": "one file with listings",
    "one_of": "one of {known}",
    "not_above_other": "a value that is not above {other}, which is {most:g},",
    "not_accepted": "a value that /docs describes",
}


class _English(Formatter):
    """Writes a list as its words, and None, a number that nobody counted to its end, as `more`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return "more"
        if isinstance(value, list | tuple):
            return " or ".join(map(str, value))
        return str(super().format_field(value, format_spec))


def english(sentence: str, params: Mapping[str, Any]) -> str:
    """`sentence` with its parameters filled in. Raises KeyError where one is missing."""
    return _English().vformat(sentence, (), params)
