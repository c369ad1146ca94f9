"""Take the README's picture of the demonstration report: python docs/picture.py."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "results" / "report" / "multiple_myeloma_demo.html"
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")

with sync_playwright() as playwright:
    chromium = (
        os.environ.get("TARGETSCORE_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
    page = browser.new_page(viewport={"width": 1240, "height": 1080})
    page.goto(REPORT.as_uri())
    page.screenshot(path=ROOT / "docs" / "report.png")
    browser.close()
