//! What becomes of a listener's file when the process does not follow it.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::config::{Overrides, load_with};

/// A store in a folder of its own, whose process has ended.
fn store(name: &str) -> (PathBuf, FileStore) {
    let folder = std::env::temp_dir().join(format!("queuepost-{}-store-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let overrides = Overrides { listeners_dir: Some(folder.display().to_string()), ..Overrides::default() };
    let load = move |trial: Option<&Trial>| load_with(&overrides, &|_| None, false, trial);
    let (requests, _) = mpsc::channel(1);
    let process = ToProcess { requests, clients: Arc::default(), redrives: Arc::default() };
    (folder, FileStore::new(Arc::new(load), Arc::new(|| Ok(Vec::new())), process))
}

fn keys(workers: u32) -> Keys {
    let keys =
        json!({"queue": "http://127.0.0.1:9/0/orders", "url": "http://127.0.0.1:9/", "workers": workers});
    keys.as_object().unwrap().clone()
}

#[tokio::test]
async fn a_file_that_the_process_does_not_follow_is_put_back_as_it_was() {
    let (folder, store) = store("back");
    let named = |workers| {
        let mut keys = keys(workers);
        keys.insert("name".to_owned(), json!("orders"));
        keys
    };
    let refused = store.create(named(3)).await;
    assert!(
        matches!(&refused, Err(NotStored::Conflict { why, .. }) if why.contains("draining")),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

    let file = folder.join("orders.json");
    let text = listener_file::text(&keys(3));
    fs::write(&file, &text).unwrap();
    assert!(store.replace("orders", keys(5)).await.is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert!(store.remove("orders").await.is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    // One that is not valid was never written.
    assert!(matches!(store.replace("orders", keys(0)).await, Err(NotStored::NotValid(_))));
    assert_eq!(store.remove("refunds").await, Err(NotStored::NoSuchListener));
    fs::remove_dir_all(&folder).unwrap();
}
