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

#[tokio::test]
async fn without_the_token_nothing_of_the_keys_is_told_but_where_they_are() {
    let (folder, mut store) = store("told");
    store.explain = Arc::new(|| {
        Ok(vec![config::Explained {
            listener: Some("orders".to_owned()),
            key: "path".to_owned(),
            value: Some("/events/s3cr3t".to_owned()),
            from: "orders.json:1:1".to_owned(),
        }])
    });
    let mut keys = keys(3);
    keys.insert("url".to_owned(), json!("http://127.0.0.1:9/events/s3cr3t"));
    fs::write(folder.join("orders.json"), listener_file::text(&keys)).unwrap();
    let told = store.written("orders", false).await.unwrap();
    assert!(!told.to_string().contains("s3cr3t"), "{told}");
    assert_eq!((&told["keys"], &told["all"], &told["object"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((&told["origin"], &told["editable"]), (&json!("directory"), &json!(true)));
    let whole = store.written("orders", true).await.unwrap();
    assert_eq!(whole["object"], json!(keys));
    assert_eq!(whole["keys"], json!({ "path": "/events/s3cr3t" }));
    assert_eq!(whole["all"][0]["from"], "orders.json:1:1");
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_reading_keeps_its_turn_when_whoever_asked_has_left() {
    let (folder, mut store) = store("turn");
    let (began, mut has_began) = mpsc::channel(2);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(2);
    let released = std::sync::Mutex::new(released);
    let load = Arc::clone(&store.load);
    store.load = Arc::new(move |trial: Option<&Trial>| {
        began.try_send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        load(trial)
    });
    let store = Arc::new(store);
    let asks = Arc::clone(&store);
    let mut left = Box::pin(async move { asks.written("orders", false).await });
    tokio::select! {
        _ = &mut left => panic!("the reading has not ended"),
        began = has_began.recv() => began.unwrap(),
    }
    drop(left);
    assert!(store.one_reader.try_lock().is_err(), "the reading goes on, and so nobody else may begin one");
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(store.written("orders", false).await, Err(NotStored::NoSuchListener));
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_file_whose_directory_does_not_come_to_the_disk_is_put_back_or_said_to_be_changed() {
    let (folder, mut store) = store("disk");
    let file = folder.join("orders.json");
    let text = listener_file::text(&keys(3));
    fs::write(&file, &text).unwrap();
    store.force = |_| Err(std::io::Error::other("the disk is gone"));
    for failed in [store.replace("orders", keys(5)).await, store.remove("orders").await] {
        assert!(
            matches!(&failed, Err(NotStored::Failed { why, .. }) if why.ends_with("the disk is gone")),
            "{failed:?}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    // The former text cannot be written either: a directory took its place.
    store.force = |folder| {
        let file = folder.join("orders.json");
        fs::remove_file(&file)?;
        fs::create_dir(&file)?;
        Err(std::io::Error::other("the disk is gone"))
    };
    let failed = store.replace("orders", keys(5)).await;
    assert!(
        matches!(&failed, Err(NotStored::Failed { why, .. }) if why.contains("could not be put back")),
        "{failed:?}"
    );
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_file_that_names_something_of_this_machine_is_changed_by_hand_alone() {
    let (folder, store) = store("edit");
    let file = folder.join("orders.yaml");
    let (queue, url) = ("http://127.0.0.1:9/0/orders", "http://127.0.0.1:9/");
    let edit = || -> Edit { Box::new(|keys| drop(keys.insert("workers".to_owned(), json!(5)))) };
    let key = folder.join("key");
    fs::write(&key, "s3cr3t").unwrap();
    let named = format!("queue: {queue}\nurl: {url}\nheaders: {{X-Key: {{file: {}}}}}\n", key.display());
    fs::write(&file, &named).unwrap();
    let refused = store.change("orders", edit()).await;
    assert!(
        matches!(&refused, Err(NotStored::Conflict { fix, .. }) if fix.contains("change it in") && fix.contains("orders.yaml")),
        "{refused:?}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), named);
    // Without it the change is made; here the process does not follow it, and so it is put back.
    let plain = format!("queue: {queue}\nurl: {url}\nname: orders\n");
    fs::write(&file, &plain).unwrap();
    let refused = store.change("orders", edit()).await;
    assert!(
        matches!(&refused, Err(NotStored::Conflict { why, .. }) if why.contains("draining")),
        "{refused:?}"
    );
    let wrong: Edit = Box::new(|keys| drop(keys.insert("queue".to_owned(), json!("${HOME}"))));
    assert!(matches!(store.change("orders", wrong).await, Err(NotStored::NotValid(_))));
    assert_eq!(fs::read_to_string(&file).unwrap(), plain);
    assert_eq!(store.change("refunds", edit()).await, Err(NotStored::NoSuchListener));
    fs::remove_dir_all(&folder).unwrap();
}
