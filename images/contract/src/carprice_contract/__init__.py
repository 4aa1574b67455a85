"""The contract between the parts of the system: what Airflow's side, the steps, the price API, the app, the
Docker proxy, `make demo` and `make env` must agree on.

Each name and number stands here once. This package depends on nothing but Python's own library and reads
no environment and no file.
"""
