"""The steps of the pipeline in their order: each calls the rooms below and keeps the alerts up to date."""
