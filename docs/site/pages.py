#!/usr/bin/env python3
"""Makes the sources of the site out of the documents, and looks at the links of what became of them.

    pages.py sources FOLDER   FOLDER/src: README.md, all that docs/README.md leads to, and a SUMMARY.md; FOLDER/book.toml
    pages.py links FOLDER     each link of the pages in FOLDER leads to a file and a heading of it, or exit code 1

docs/README.md is the only index: its sections are the parts of the site, and its links the chapters, in that order. A chapter
that is a folder's README has the pages below it as its own. What else the pages link to comes behind: pages under "More", and
files under "Files", as pages that show them. Pages keep their places, so links between them stay as they are. A page of docs/ that nothing
leads to is an error.
"""

import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
INDEX = "docs/README.md"
LINK = re.compile(r"\]\(([^)\s]+)")
PICTURE = re.compile(r'<img [^>]*src="([^"]+)"')
# Files that a browser shows, and programs fetch: they are copied as they are.
AS_THEY_ARE = {".svg", ".png", ".json"}
LANGUAGES = {".yaml": "yaml", ".rs": "rust", ".py": "python", ".sh": "sh"}


def tracked():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], check=True, capture_output=True, text=True)
    return listed.stdout.splitlines()


def prose(text):
    """Each line, and whether it is outside code blocks."""
    outside = True
    for line in text.splitlines(keepends=True):
        fence = line.lstrip().startswith("```")
        yield line, outside and not fence
        outside = outside != fence


def links(page, text):
    """What a page links to inside the repository: a path without its heading, and the words of the link."""
    for line, outside in prose(text):
        for target in LINK.findall(line) + PICTURE.findall(line) if outside else []:
            path = target.split("#")[0]
            if path and "://" not in target and not target.startswith("mailto:"):
                yield os.path.normpath(os.path.join(os.path.dirname(page), path))


def title(text):
    heading = next(line for line, outside in prose(text) if outside and line.startswith("# "))
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[2:].strip())


class Site:
    def __init__(self):
        self.files = tracked()
        self.texts = {}  # of pages, in their order
        self.copied = set()
        self.lines = []  # of SUMMARY.md
        self.queue = []

    def place(self, path):
        """Where a path of the repository is in the sources; none if it is no page."""
        if (ROOT / path).is_dir():
            readme = f"{path}/README.md"
            return f"{path}/index.md" if readme not in self.files else self.place(readme)
        folder, name = os.path.split(path)
        if name == "README.md":
            return os.path.join(folder, "index.md")
        if name.endswith(".md"):
            return path
        return None if Path(name).suffix in AS_THEY_ARE else f"{path}.md"

    def text(self, path):
        """The Markdown of a page, of a file that is shown as one, or of a folder."""
        if (ROOT / path).is_dir():
            below = [file for file in self.files if file.startswith(f"{path}/")]
            if f"{path}/README.md" in self.files:
                return self.text(f"{path}/README.md")
            # Of a folder with pages in its folders only these count.
            below = [file for file in below if file.endswith(".md")] or below
            rows = [f"* [{file.removeprefix(path + '/').removesuffix('/README.md')}]({os.path.relpath(file, path)})" for file in below]
            return f"# {path}\n\n" + "\n".join(rows) + "\n"
        text = (ROOT / path).read_text()
        if path.endswith(".md"):
            return text
        fence = "````" if "```" in text else "```"
        return f"# {path}\n\n{fence}{LANGUAGES.get(Path(path).suffix, 'text')}\n{text.rstrip()}\n{fence}\n"

    def add(self, path, depth):
        """Takes a page, and behind it those of its folder if it is the README of one; whether it was not there before."""
        place = self.place(path)
        if place is None:
            self.copied.add(path)
            return
        if place in self.texts:
            return
        if path not in self.files and not (ROOT / path).is_dir():
            sys.exit(f"pages.py: no file {path} in the repository")
        text = self.text(path)
        self.texts[place] = (path, text)
        self.lines.append(f"{'  ' * depth}- [{title(text)}]({place})")
        here = path if (ROOT / path).is_dir() else os.path.dirname(path)
        found = list(links(f"{here}/-" if (ROOT / path).is_dir() else path, text))
        if place.endswith("/index.md") and path != INDEX:
            is_readme = f"{here}/README.md" in self.files
            for target in found:
                if target.startswith(f"{here}/") and (target.endswith(".md") or not is_readme):
                    self.add(target, depth + 1)
        self.queue.extend(found)

    def collect(self):
        self.add("README.md", 0)
        self.lines = [f"[{title((ROOT / 'README.md').read_text())}](index.md)"]
        self.add(INDEX, 0)
        self.queue.clear()
        for line, outside in prose((ROOT / INDEX).read_text()):
            if outside and line.startswith("## "):
                self.lines += ["", f"# {line[3:].strip()}", ""]
            for target in list(links(INDEX, line)) if outside else []:
                self.add(target, 0)
        self.queue[:0] = list(links("README.md", (ROOT / "README.md").read_text()))
        for part, is_of in (("More", lambda path: path.endswith(".md")), ("Files", lambda _: True)):
            self.lines += ["", f"# {part}", ""]
            while found := next(filter(is_of, self.queue), None):
                self.queue.remove(found)
                self.add(found, 0)
        pages = {file for file in self.files if re.fullmatch(r"docs/(.*/)?[^/]+\.md", file)}
        lost = sorted(pages - {path for path, _ in self.texts.values()})
        if lost:
            sys.exit(f"pages.py: nothing leads from {INDEX} to {', '.join(lost)}")

    def linked(self, place, path, text):
        """The text with its links as the site needs them."""
        base = path if (ROOT / path).is_dir() else os.path.dirname(path)

        def target(found):
            link, _, heading = found[1].partition("#")
            if not link or "://" in found[1] or link.startswith("mailto:"):
                return found[0]
            full = os.path.normpath(os.path.join(base, link))
            to = os.path.relpath(self.place(full) or full, os.path.dirname(place) or ".")
            return f"]({to}{'#' + heading if heading else ''}"

        return "".join(LINK.sub(target, line) if outside else line for line, outside in prose(text))

    def write(self, folder):
        src = folder / "src"
        shutil.rmtree(src, ignore_errors=True)
        for place, (path, text) in self.texts.items():
            (src / place).parent.mkdir(parents=True, exist_ok=True)
            (src / place).write_text(self.linked(place, path, text))
        for path in self.copied:
            (src / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, src / path)
        (src / "SUMMARY.md").write_text("# Summary\n\n" + "\n".join(self.lines) + "\n")
        # The search finds words, rather than lines of manifests.
        files = [place for place, (path, _) in self.texts.items() if not path.endswith(".md")]
        unsearched = "".join(f'"{place}" = {{ enable = false }}\n' for place in files)
        settings = (ROOT / "docs/site/book.toml").read_text()
        (folder / "book.toml").write_text(f"{settings}\n[output.html.search.chapter]\n{unsearched}")
        shutil.copyfile(ROOT / "docs/site/site.css", folder / "site.css")


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.update(value for name in ("id", "name") if (value := attrs.get(name)))
        target = attrs.get("href" if tag in ("a", "link") else "src" if tag in ("img", "script") else "")
        if target and "://" not in target and not target.startswith(("mailto:", "data:")):
            self.targets.append(unquote(target))


def look(folder):
    # 404.html is served for any address, so its links begin elsewhere.
    pages = {page: Links(page.read_text()) for page in folder.rglob("*.html") if page.name not in ("404.html", "toc.html")}
    wrong, seen = [], 0
    for page, found in pages.items():
        for target in found.targets:
            seen += 1
            file, _, heading = target.partition("#")
            to = (page.parent / file).resolve() if file else page
            if not to.is_file():
                wrong.append(f"{page.relative_to(folder)}: no file {target}")
            elif heading and to in pages and heading not in pages[to].ids:
                wrong.append(f"{page.relative_to(folder)}: no heading {target}")
    print(f"{len(pages)} pages, {seen} links")
    if wrong or not pages:
        sys.exit("\n".join(sorted(wrong)) or f"no pages in {folder}")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("sources", "links"):
        sys.exit(__doc__)
    folder = Path(sys.argv[2]).resolve()
    if sys.argv[1] == "links":
        look(folder)
    else:
        site = Site()
        site.collect()
        site.write(folder)


main()
