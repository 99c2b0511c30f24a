//! What is read of the directory of listeners, and what is said of it.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::json;

use super::*;
use crate::config::{ConfigErrors, OriginKind, Overrides, Plan, load_with};

const LISTENER: &str = "queue: http://127.0.0.1:9/000000000000/a\nurl: http://127.0.0.1:9/a\n";

/// A directory of listeners of its own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("queuepost-{}-directory-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn put(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn overrides(&self) -> Overrides {
        Overrides { listeners_dir: Some(self.0.display().to_string()), ..Overrides::default() }
    }

    fn load(&self, trial: Option<&Trial>) -> Result<Plan, ConfigErrors> {
        load_with(&self.overrides(), &|_| None, false, trial)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.listeners.iter().map(|one| one.listener.name.as_str()).collect()
}

fn of_queue(name: &str) -> String {
    format!("queue: http://127.0.0.1:9/000000000000/{name}\nurl: http://127.0.0.1:9/{name}\n")
}

#[test]
fn each_file_is_a_listener_of_its_name_and_an_empty_directory_is_none() {
    let folder = Folder::new("each");
    assert_eq!(names(&folder.load(None).unwrap()), Vec::<&str>::new());
    folder
        .put("b.yaml", &of_queue("b"))
        .put(
            "a.json",
            r#"{"queue": "http://127.0.0.1:9/000000000000/a", "url": "http://127.0.0.1:9/a", "name": "a"}"#,
        )
        .put("c.yml", &of_queue("c"));
    for left in [".d.json.tmp", "d.yaml~", ".d.yaml.swp", "#d.yaml#", ".#d.yaml", "notes.txt", ".hidden.yaml"]
    {
        folder.put(left, "no: listener");
    }
    fs::create_dir(folder.0.join("e.yaml")).unwrap();
    let plan = folder.load(None).unwrap();
    assert_eq!(names(&plan), ["a", "b", "c"]);
    let origin = &plan.listeners[0].origin;
    assert_eq!(
        (origin.kind, origin.path.as_deref()),
        (OriginKind::Directory, Some(&*folder.0.join("a.json")))
    );
    assert_eq!(plan.listeners_dir.as_deref(), Some(&*folder.0));
}

#[test]
fn every_mistake_is_said_with_its_file_line_and_key() {
    let folder = Folder::new("mistakes");
    folder
        .put("a.yaml", &format!("{LISTENER}workers: many\n"))
        .put("b.yaml", &format!("{}name: c\ncolour: red\n", of_queue("b")))
        .put("Wrong_Name.yaml", &of_queue("d"))
        .put("e.yaml", "- no map")
        .put("f.yaml", "queue: [");
    let errors = folder.load(None).unwrap_err();
    let said = errors.to_string();
    let in_file = |name: &str| format!("{}/{name}", folder.0.display());
    for wanted in [
        format!("{}:3:10: workers: many is", in_file("a.yaml")),
        format!("{}:3:7: name: c is not the name of its file", in_file("b.yaml")),
        format!("{}:4:1: colour", in_file("b.yaml")),
        format!("{}: name: Wrong_Name is not a name", in_file("Wrong_Name.yaml")),
        format!("{}:1:1: must be a map", in_file("e.yaml")),
        format!("{}:1", in_file("f.yaml")),
    ] {
        assert!(said.contains(&wanted), "{wanted}\n{said}");
    }
    assert!(said.contains("workers: many\n"), "the line of that file: {said}");
}

#[test]
fn names_are_unique_over_the_file_and_the_directory() {
    let folder = Folder::new("unique");
    folder.put("a.yaml", LISTENER).put(
        "a.json",
        "{\"queue\": \"http://127.0.0.1:9/000000000000/b\", \"url\": \"http://127.0.0.1:9/b\"}",
    );
    let errors = folder.load(None).unwrap_err().to_string();
    assert!(errors.contains("is not unique: `a`"), "{errors}");
    fs::remove_file(folder.0.join("a.json")).unwrap();
    let file = folder.0.join("main.conf");
    let text = format!(
        "listeners_dir: .\nlisteners:\n- name: a\n  {}",
        of_queue("z").trim_end().replace('\n', "\n  ")
    );
    fs::write(&file, text).unwrap();
    let overrides = Overrides { config: Some(file.display().to_string()), ..Overrides::default() };
    let errors = load_with(&overrides, &|_| None, false, None).unwrap_err().to_string();
    assert!(errors.contains("is not unique: `a`"), "{errors}");
}

#[test]
fn a_trial_is_read_as_if_its_file_were_there_or_not() {
    let folder = Folder::new("trial");
    folder.put("a.yaml", LISTENER);
    let trial =
        |name: &str, text: Option<&str>| Trial { name: name.to_owned(), text: text.map(str::to_owned) };
    let with = folder.load(Some(&trial("b", Some(&of_queue("b"))))).unwrap();
    assert_eq!(
        (names(&with), &with.listeners[1].origin.path),
        (vec!["a", "b"], &Some(folder.0.join("b.json")))
    );
    let other = format!("{LISTENER}workers: 3\n");
    let changed = folder.load(Some(&trial("a", Some(&other)))).unwrap();
    assert_eq!(changed.listeners[0].listener.workers, 3);
    assert_eq!(changed.listeners[0].origin.path, Some(folder.0.join("a.yaml")));
    assert_eq!(names(&folder.load(Some(&trial("a", None))).unwrap()), Vec::<&str>::new());
    let wrong = folder.load(Some(&trial("b", Some("workers: 0")))).unwrap_err();
    assert!(wrong.problems().iter().any(|problem| problem.key == "workers"), "{wrong}");
    assert_eq!(names(&folder.load(None).unwrap()), ["a"]);
}

#[test]
fn a_directory_that_is_not_there_is_said_with_the_fix() {
    let folder = Folder::new("gone");
    let overrides = Overrides {
        listeners_dir: Some(folder.0.join("nowhere").display().to_string()),
        ..Overrides::default()
    };
    let errors = load_with(&overrides, &|_| None, false, None).unwrap_err().to_string();
    assert!(errors.contains("cannot be read: it is not there; create the directory"), "{errors}");
}

#[test]
fn a_file_that_is_no_text_too_long_or_gone_is_named_and_the_others_are_read_too() {
    let folder = Folder::new("unreadable");
    fs::write(folder.0.join("a.yaml"), b"queue: \xff").unwrap();
    folder.put("b.yaml", &"#".repeat(1024 * 1024 + 1)).put("d.yaml", &format!("{LISTENER}workers: 0\n"));
    symlink("nowhere", folder.0.join("c.yaml")).unwrap();
    let said = folder.load(None).unwrap_err().to_string();
    for (name, because) in [
        ("a.yaml", "it is not text in UTF-8"),
        ("b.yaml", "it is longer than 1024 KiB"),
        ("c.yaml", "it is not there"),
        ("d.yaml:3:10", "workers: 0"),
    ] {
        let place = folder.0.join(name).display().to_string();
        assert!(said.lines().any(|line| line.contains(&place) && line.contains(because)), "{name}\n{said}");
    }
}

#[test]
fn an_endpoint_is_one_of_the_file_and_a_relative_path_starts_at_the_directory() {
    let folder = Folder::new("beside");
    let listeners = folder.0.join("listeners");
    fs::create_dir(&listeners).unwrap();
    let text = "queue: http://127.0.0.1:9/000000000000/a\nendpoint: shop\npath: /a\nheaders: { x-key: { file: key } }\n";
    fs::write(listeners.join("a.yaml"), text).unwrap();
    fs::write(listeners.join("key"), "secret").unwrap();
    fs::set_permissions(listeners.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let main = "listeners_dir: listeners\nendpoints: { shop: { url: http://127.0.0.1:9 } }\n";
    let file = folder.0.join("main.conf");
    fs::write(&file, main).unwrap();
    let overrides = Overrides { config: Some(file.display().to_string()), ..Overrides::default() };
    let plan = load_with(&overrides, &|_| None, false, None).unwrap();
    assert_eq!((names(&plan), plan.endpoints.len()), (vec!["a"], 1));
}

#[test]
fn flags_describe_a_listener_beside_those_of_the_directory() {
    let folder = Folder::new("flags");
    folder.put("a.yaml", LISTENER);
    let overrides = Overrides {
        queue: Some("http://127.0.0.1:9/000000000000/mine".to_owned()),
        url: Some("http://127.0.0.1:9/mine".to_owned()),
        workers: Some("3".to_owned()),
        ..folder.overrides()
    };
    let plan = load_with(&overrides, &|_| None, false, None).unwrap();
    assert_eq!((names(&plan), plan.listeners[0].listener.workers), (vec!["mine", "a"], 3));
    assert_eq!(plan.listeners[0].origin.kind, OriginKind::Flags);
}

#[test]
fn an_endpoint_without_listeners_may_get_some_later() {
    let folder = Folder::new("endpoint");
    let config = folder.0.with_extension("yaml");
    let text = "endpoints: {algorithmia: {url: 'http://127.0.0.1:9'}}\n";
    std::fs::write(&config, text).unwrap();
    let overrides = Overrides { config: Some(config.to_str().unwrap().to_owned()), ..folder.overrides() };
    let plan = load_with(&overrides, &|_| None, false, None).unwrap();
    std::fs::remove_file(config).unwrap();
    assert_eq!(plan.warnings, Vec::<String>::new());
}

#[test]
fn the_keys_of_a_text_are_json() {
    let keys = keys_of("queue: orders\nworkers: 3\nsuccess: [200, 204]\n").unwrap();
    assert_eq!(
        serde_json::Value::Object(keys),
        serde_json::json!({"queue": "orders", "workers": 3, "success": [200, 204]})
    );
    assert_eq!(keys_of("- a"), None);
    assert!(name_of(Path::new("/x/orders.json")).is_some());
}

/// The texts of a tree, without their places.
fn texts(text: &str) -> String {
    fn of(node: &tree::Node) -> String {
        match &node.value {
            tree::Value::Nothing => "~".to_owned(),
            tree::Value::Scalar(text) => format!("{text:?}"),
            tree::Value::List(items) => format!("[{}]", items.iter().map(of).collect::<Vec<_>>().join(" ")),
            tree::Value::Map(entries) => {
                let mut entries: Vec<_> =
                    entries.iter().map(|(key, node)| format!("{}={}", key.name, of(node))).collect();
                entries.sort();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }
    let mut report = Report::default();
    let tree = tree::parse(text, &"f".into(), &mut report);
    report.finish().unwrap_or_else(|errors| panic!("{errors}"));
    of(&tree.expect("a tree"))
}

#[test]
fn values_that_nobody_touches_stay_as_they_were_written_by_hand() {
    let text = "a: 2024.10\nb: 0x1F\nc: 0123\nd: 1e3\ne: yes\nf: '8'\ng: 8\nh: true\ni: ~\nj: ''\nk: 'null'\n\
        m: 1_000\nn: [+1, -0, 007, {o: 10.0}]\np: 12345678901234567890\nq: ' 5'\nr: &x {s: 1.50}\nt: *x\n";
    let written = texts(text);
    let keys = keys_of(text).expect("a map");
    assert_eq!((&keys["a"], &keys["b"], &keys["g"]), (&json!("2024.10"), &json!("0x1F"), &json!(8)));
    assert_eq!(texts(&Value::Object(keys).to_string()), written);
}
