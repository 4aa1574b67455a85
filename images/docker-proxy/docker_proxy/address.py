"""Where the proxy listens, for the health check too, which loads nothing else of the proxy."""

from __future__ import annotations

PORT_VARIABLE, DEFAULT_PORT = "CARPRICE_PROXY_PORT", 2375
