//! What is served, with which headers, and that the files hold to the policy they are served with.

use std::collections::BTreeSet;

use axum::http::HeaderValue;

use super::*;

fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

async fn text(answer: Response) -> String {
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn browsers_get_the_page_and_all_others_the_list_of_paths() {
    for (accept, is_page) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ("TEXT/HTML", true),
        ("*/*", false),
        ("application/json", false),
    ] {
        let answer = page(headers(&[(ACCEPT, accept)])).await;
        assert_eq!(answer.headers()[VARY], "Accept");
        assert_eq!(text(answer).await.starts_with("<!doctype html>"), is_page, "{accept}");
    }
    assert!(text(page(HeaderMap::new()).await).await.contains("/api/v1/status"));
}

#[tokio::test]
async fn every_file_is_served_with_the_policy_and_its_tag_spares_a_second_copy() {
    for known in FILES {
        let answer = file(Path(known.name.to_owned()), HeaderMap::new()).await;
        let sent = answer.headers().clone();
        assert_eq!(sent[CONTENT_TYPE], known.kind);
        assert_eq!(sent[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(sent[REFERRER_POLICY], "no-referrer");
        assert!(sent[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none';"));
        assert!(!sent.contains_key("set-cookie"));
        assert_eq!(text(answer).await, known.text);
        let mut again = HeaderMap::new();
        again.insert(IF_NONE_MATCH, HeaderValue::from_str(&format!("\"x\", W/{}", known.tag())).unwrap());
        let answer = file(Path(known.name.to_owned()), again).await;
        assert_eq!(
            (answer.status(), answer.headers()[ETAG].clone()),
            (StatusCode::NOT_MODIFIED, sent[ETAG].clone())
        );
    }
    let tags: BTreeSet<String> = FILES.iter().map(File::tag).collect();
    assert_eq!(tags.len(), FILES.len(), "two files have one tag");
    for missing in ["", "mod.rs", "tests.rs", "../mod.rs", "help.txt"] {
        assert_eq!(file(Path(missing.to_owned()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND);
    }
}

#[test]
fn every_file_of_the_folder_is_served_and_every_file_that_is_asked_for_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/console");
    let known_otherwise = ["mod.rs", "tests.rs", "index.html", "help.txt"];
    let is_asset = |name: &String| !known_otherwise.contains(&name.as_str());
    let entries = std::fs::read_dir(folder).unwrap();
    let there: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(is_asset).collect();
    let served: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
    assert_eq!(there, served);
    let of_page = PAGE.text.split("\"console/").skip(1).map(|rest| rest.split('"').next().unwrap());
    let imports = FILES.iter().flat_map(|file| file.text.split("from \"./").skip(1));
    let imported = imports.map(|rest| rest.split('"').next().unwrap());
    let asked: BTreeSet<String> = of_page.chain(imported).map(str::to_owned).collect();
    assert_eq!(asked, served, "asked for by the page or a module, beside what is served");
}

#[test]
fn nothing_in_the_files_makes_html_of_text_or_needs_more_than_the_policy_grants() {
    // What the policy refuses fails in the browser and nowhere else; what makes HTML of text fails nowhere.
    let refused = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
        "http://",
        "https://",
        "style=",
        "onclick=",
        "javascript:",
        "document.cookie",
        "@import",
        "url(",
    ];
    for file in FILES.iter().chain([&PAGE]) {
        // Examples in fields, the name of SVG's namespace, and a pattern of the same image.
        let text = ["http://www.w3.org/2000/svg", "https://sqs.", "https://orders.example", "url(#"]
            .iter()
            .fold(file.text.to_owned(), |text, known| text.replace(known, ""));
        for word in refused {
            assert!(!text.contains(word), "{} has {word:?}", file.name);
        }
        let lines = text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", file.name);
        let begins = if file.kind == SCRIPT {
            "// "
        } else if file.kind == CSS {
            "/* "
        } else {
            "<"
        };
        assert!(file.text.starts_with(begins), "{} does not say what it is for", file.name);
    }
}
