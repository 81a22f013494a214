"""What a product shows, in a real browser without JavaScript: the list, the contact's form, the
way over sign-in and licence to a file for buyers."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests import factories
from tests.system.test_portal_browser import Site, browser, listen, look, sign_in, site

__all__ = ["browser", "site"]


def take(page: Page, name: str) -> tuple[str, bytes]:
    """The download that a click starts."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name=name).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


@pytest.mark.needs("chromium")
def test_files_of_a_product_are_had_without_javascript(
    site: Site,
    browser: Browser,
    tmp_path: Path,
) -> None:
    with site.hub.database.write() as tx:
        for visibility, title in (
            ("public", "Data sheet"),
            ("contact", "White paper"),
            ("purchase", "Handbook"),
        ):
            factories.add_product_download(
                tx,
                "TOOLS",
                visibility=visibility,
                title=title,
                file_name=f"{title}.pdf",
                data=title.encode(),
                store=site.hub.blobs,
            )
    context = browser.new_context(java_script_enabled=False, accept_downloads=True)
    said, page = listen(context), context.new_page()
    page.goto(f"{site.url}/product-codes")
    page.get_by_role("link", name="TOOLS").click()
    look(page, tmp_path, "product")
    assert take(page, "Data sheet") == ("Data sheet.pdf", b"Data sheet")

    page.get_by_role("link", name="White paper").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Who are you?"
    look(page, tmp_path, "contact")
    for label, text in (
        ("Name", "Ada Lovelace"),
        ("Company", " "),
        ("Mail address", "ada@engines.example"),
    ):
        page.get_by_label(label, exact=True).fill(text)
    country = page.get_by_label("Country", exact=True)
    country.select_option(label="Britain (UK)")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on to the file").click()
    assert "company must not be empty" in page.get_by_role("alert").inner_text()
    look(page, tmp_path, "contact-wrong")
    assert country.input_value() == "GB"
    assert page.get_by_role("checkbox").is_checked()
    company = page.get_by_label("Company", exact=True)
    assert company.evaluate("it => it === document.activeElement")
    company.fill("Analytical Engines")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Go on to the file").click()
    assert Path(waiting.value.path()).read_bytes() == b"White paper"
    page.goto(f"{site.url}/product-codes/TOOLS")
    assert take(page, "White paper")[1] == b"White paper"  # asked once only

    page.get_by_role("link", name="Handbook").click()
    look(page, tmp_path, "purchase")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    sign_in(page)
    assert page.get_by_role("heading", level=1).inner_text() == "One step is left"
    look(page, tmp_path, "licence-needed")
    page.get_by_role("link", name="Read the licence").click()
    page.get_by_role("button", name="Accept for Acme").click()
    name, content = take(page, "go on here")
    assert (name, content) == ("Handbook.pdf", b"Handbook")
    # 401, 400, 401 and 403: the browser says so for each; it complains of nothing else.
    assert [one.split(" with a status")[0] for one in said] == [
        "Failed to load resource: the server responded"
    ] * 4
    context.close()
