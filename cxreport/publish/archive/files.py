"""Names of published files."""

from cxreport.config import EVERYBODY

# What the folder of everybody and that of each audience hold.
PAGE, PRINT, NOTEBOOKS = "report.html", "report.pdf", "notebooks"
EXECUTIVE, SLIDES, WORKBOOK, ESTIMATES = "executive.pdf", "slides.pptx", "tables.xlsx", "estimates.csv"
HTML = f"{EVERYBODY}/{PAGE}"
PDF = f"{EVERYBODY}/{PRINT}"
QUALITY = f"{EVERYBODY}/data-quality.html"

# Pages of the archive itself.
INDEX, FEED, LATEST = "index.html", "feed.xml", "latest.html"
