"""The profile that LibreOffice is started with: no macros, no links, nothing to be asked."""

from pathlib import Path
from xml.sax.saxutils import escape

_COMMON = "/org.openoffice.Office.Common"
_SETTINGS: tuple[tuple[str, str, str], ...] = (
    # Not even signed ones, and those of trusted places: there are none.
    (f"{_COMMON}/Security/Scripting", "DisableMacrosExecution", "true"),
    (f"{_COMMON}/Security/Scripting", "MacroSecurityLevel", "3"),
    # Nothing is loaded from an address in a document: no picture, no template, no sheet.
    (f"{_COMMON}/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    (f"{_COMMON}/Security/Scripting", "CheckDocumentEvents", "true"),
    ("/org.openoffice.Office.Writer/Content/Update", "Link", "0"),  # never
    ("/org.openoffice.Office.Calc/Content/Update", "Link", "1"),  # never
    ("/org.openoffice.Office.Java/VirtualMachine", "Enable", "false"),
    ("/org.openoffice.Setup/Office", "ooSetupInstCompleted", "true"),
    (f"{_COMMON}/Misc", "FirstRun", "false"),
)
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<oor:items xmlns:oor="http://openoffice.org/2001/registry">\n'
)


def write_profile(folder: Path) -> None:
    """Makes a new profile in `folder`."""
    items = [
        f'<item oor:path="{escape(path)}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>\n"
        for path, name, value in _SETTINGS
    ]
    user = folder / "user"
    user.mkdir(parents=True)
    text = f"{_HEAD}{''.join(items)}</oor:items>\n"
    (user / "registrymodifications.xcu").write_text(text, encoding="utf-8")
