"""The edge for browsers and integrators: pages, HTTP API, one websocket per page."""
