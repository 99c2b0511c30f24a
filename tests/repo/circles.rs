//! No files of `src/` import each other in a circle. So each file can be read, and tested, before those above
//! it.
//!
//! It reads text, not types: `use` and paths that begin with `crate`, `self` or `super`, outside of tests. A
//! `pub use` in a `mod.rs` only re-exports a name. So a user of that name imports the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, code, is_test, sources};

type Path = Vec<String>;

/// The files by module path, and the target of each re-exported name.
struct Modules {
    files: BTreeSet<Path>,
    passed_on: BTreeMap<Path, Path>,
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources: Vec<(Path, String)> = sources()
        .iter()
        .filter(|source| !is_test(source))
        .map(|source| (module(source), code(&source.text)))
        .collect();
    let files: BTreeSet<Path> = sources.iter().map(|(module, _)| module.clone()).collect();
    let mut modules = Modules { files, passed_on: BTreeMap::new() };
    for (module, text) in &sources {
        for (_, path) in uses(text).into_iter().filter(|(public, _)| *public) {
            if let Some(path) = modules.absolute(&path, module) {
                let name = module.iter().chain(path.last()).cloned().collect();
                modules.passed_on.insert(name, path);
            }
        }
    }
    let imports: BTreeMap<Path, BTreeSet<Path>> = sources
        .iter()
        .filter(|(module, _)| !module.is_empty())
        .map(|(module, text)| (module.clone(), modules.imported(module, text)))
        .collect();
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        imports.keys().map(|file| (file, reachable(file, &imports))).collect();
    let circles: BTreeSet<Vec<String>> = reached
        .iter()
        .filter(|(file, reached)| reached.contains(**file))
        .map(|(file, others)| {
            let circle =
                others.iter().filter(|other| reached.get(**other).is_some_and(|r| r.contains(*file)));
            circle.map(|other| other.join("/")).collect()
        })
        .collect();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 300, "the imports are not found");
    assert!(circles.is_empty(), "files that import each other:\n{circles:#?}");
}

fn reachable<'a>(file: &Path, imports: &'a BTreeMap<Path, BTreeSet<Path>>) -> BTreeSet<&'a Path> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
    while let Some(file) = next.pop() {
        for imported in imports.get(file).into_iter().flatten() {
            if reached.insert(imported) {
                next.push(imported);
            }
        }
    }
    reached
}

/// `pipeline/intake/mod.rs` is `pipeline::intake`.
fn module(source: &Source) -> Path {
    let path = source.path.with_extension("");
    let mut parts: Path = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The paths of every `use`, groups expanded; whether each is re-exported.
fn uses(text: &str) -> Vec<(bool, Path)> {
    let mut found = Vec::new();
    for statement in text.split(';') {
        let Some(at) = statement.rfind("use ") else { continue };
        let (before, path) = statement.split_at(at);
        let line = before.rsplit('\n').next().unwrap_or_default().trim();
        if line.is_empty() || (line.starts_with("pub") && !line.contains(['=', '{'])) {
            // The name after `as` does not matter.
            let words = path["use ".len()..].replace(" as ", "::as::");
            let path: String = words.split_whitespace().collect();
            expand(&path, &[], &mut |path| found.push((!line.is_empty(), path)));
        }
    }
    found
}

/// `a::{b, c::{d, self}}` is `a::b`, `a::c::d` and `a::c`.
fn expand(text: &str, before: &[String], found: &mut impl FnMut(Path)) {
    let Some((head, group)) = text.split_once('{') else {
        let parts = text
            .split("::")
            .take_while(|part| *part != "as")
            .filter(|part| !part.is_empty() && *part != "self")
            .map(str::to_owned);
        let path: Path = before.iter().cloned().chain(parts).collect();
        let starts_here = before.is_empty() && text.starts_with("self::");
        return found(if starts_here {
            std::iter::once("self".to_owned()).chain(path).collect()
        } else {
            path
        });
    };
    let before: Path = before
        .iter()
        .cloned()
        .chain(head.split("::").filter(|part| !part.is_empty()).map(str::to_owned))
        .collect();
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if let Some(item) = group.get(begin..at).filter(|item| !item.is_empty()) {
                    expand(item, &before, found);
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
}

impl Modules {
    /// A path as written in `module`, from the crate's root; `None` for other crates.
    fn absolute(&self, path: &[String], module: &[String]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        let beside = || module.iter().chain([first]).cloned().collect::<Path>();
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some(module.iter().chain(rest).cloned().collect()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let base = module.get(..module.len().checked_sub(ups)?)?;
                Some(base.iter().chain(&path[ups..]).cloned().collect())
            }
            _ if self.files.contains(&beside()) => Some(module.iter().chain(path).cloned().collect()),
            _ => None,
        }
    }

    /// The file that defines the target of a path.
    fn file(&self, mut path: Path) -> Option<Path> {
        for _ in 0..8 {
            match self.passed_on.get(&path) {
                Some(target) if *target != path => path.clone_from(target),
                _ => break,
            }
        }
        while !path.is_empty() && !self.files.contains(&path) {
            path.pop();
        }
        Some(path).filter(|path| !path.is_empty())
    }

    /// The files that a file imports.
    fn imported(&self, module: &[String], text: &str) -> BTreeSet<Path> {
        let written = text.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(rest.len());
            let parts = rest[..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned);
            std::iter::once("crate".to_owned()).chain(parts).collect::<Path>()
        });
        let used = uses(text).into_iter().filter(|(public, _)| !public).map(|(_, path)| path);
        used.chain(written)
            .filter_map(|path| self.file(self.absolute(&path, module)?))
            .filter(|file| file != module)
            .collect()
    }
}
