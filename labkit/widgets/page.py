"""A control's page part: one JavaScript module and one style sheet, made of files that import each other.

A control's folder holds its Python (`__init__.py`), its script and its style, named like the folder. The script imports
what it uses of the scripts beside this file, as any module does; a script's style lies beside it under the same name.
anywidget takes a control as one module, so the imported files are put before it and the `import` lines left out. They
then share one scope: no two may declare the same name at their top level.
"""

import re
from pathlib import Path

SHARED = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "(?P<path>[^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)


def scripts(*paths: Path) -> list[Path]:
    """The scripts at `paths` with all that they import, directly or not; each once, after what it imports."""
    found: dict[Path, None] = {}
    for path in paths:
        imported = (path.parent / match["path"] for match in IMPORT.finditer(path.read_text(encoding="utf-8")))
        found |= dict.fromkeys([*scripts(*(each.resolve() for each in imported)), path])
    return list(found)


def script(*paths: Path) -> str:
    """One JavaScript module made of the scripts at `paths` and all that they import."""
    texts = (path.read_text(encoding="utf-8") for path in scripts(*paths))
    return "\n".join(EXPORT.sub("", IMPORT.sub("", text)) for text in texts)


def style(*paths: Path) -> str:
    """The styles that lie beside these scripts and the ones that they import, in the same order."""
    sheets = (path.with_suffix(".css") for path in scripts(*paths))
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets if sheet.is_file())


def page_part(module: str) -> tuple[str, str]:
    """The script and the style of the control whose Python file is `module`: its `_esm` and its `_css`."""
    folder = Path(module).resolve().parent
    own = folder / f"{folder.name}.js"
    return script(own), style(own)
