//! The sources of the documents' site, as `.ci/book` makes them. mdBook itself is compiled and run only there, with a look at the
//! links of what it built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pages_below;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder that `docs/site/pages.py` made of the repository.
fn made(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("site-{test}"));
    let script = root().join("docs/site/pages.py");
    let ran = Command::new("python3").arg(script).arg("sources").arg(&folder).output().expect("python3");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    folder
}

#[test]
fn the_site_has_every_page_of_the_documents_once_in_the_order_of_their_index() {
    let folder = made("pages");
    let summary = fs::read_to_string(folder.join("src/SUMMARY.md")).unwrap();
    let places: Vec<&str> = summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    let mut pages = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
        .map(|page| root().join(page))
        .to_vec();
    for below in ["docs", "examples", "dashboards", "terraform"] {
        pages_below(&root().join(below), &mut pages);
    }
    assert!(pages.len() > 90, "only {} pages", pages.len());
    for page in pages {
        let page = page.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        // A folder is served by its index.
        let place = page.strip_suffix("README.md").map_or(page.clone(), |folder| format!("{folder}index.md"));
        assert_eq!(places.iter().filter(|other| **other == place).count(), 1, "{page} in {summary}");
        assert!(folder.join("src").join(&place).is_file(), "{place}");
    }
    let parts: Vec<&str> = summary.lines().filter_map(|line| line.strip_prefix("# ")).skip(1).collect();
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let sections: Vec<&str> = index.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(parts, [&sections[..], &["More", "Files"]].concat());
}

#[test]
fn a_link_out_of_a_page_leads_to_where_the_site_has_its_target() {
    let folder = made("links");
    let index = fs::read_to_string(folder.join("src/docs/index.md")).unwrap();
    // A folder, a file that is shown as a page, another folder's README, and a picture that is copied.
    assert!(index.contains("](../examples/index.md)"), "{index}");
    assert!(index.contains("](../terraform/index.md)"), "{index}");
    let configuration = fs::read_to_string(folder.join("src/docs/configuration.md")).unwrap();
    assert!(configuration.contains("](../examples/complete.yaml.md)"), "{configuration}");
    assert!(folder.join("src/docs/pictures/way.svg").is_file());
    assert!(folder.join("src/docs/pictures/console-list-phone.png").is_file());
    let complete = fs::read_to_string(folder.join("src/examples/complete.yaml.md")).unwrap();
    assert!(complete.contains("\n```yaml\n"), "{complete}");
}
