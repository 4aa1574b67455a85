"""Used-car prices in Morocco: from a scraped file to a served price."""
