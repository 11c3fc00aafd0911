"""Views of `report.json`: markdown and self-contained HTML."""
