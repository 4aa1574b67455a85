"""The prediction log: which listings got which price, and the price that was paid in the end.

`records` has the types, `queue` the predictions that wait to be written, `rows` what is stored of a
prediction, `queries` and `comparison` what is read back, and `log` the log that the service uses.
"""
