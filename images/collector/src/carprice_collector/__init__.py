"""The collector: it reads listings from sites, politely, and lands them as a file of the pipeline.

It is off until somebody starts it. It never logs in, never uses a private interface and never says that it
is a browser.
"""
