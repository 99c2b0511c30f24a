//! What the program says of itself: completions, manual pages, the schema; a complete configuration; variables that are misspelt.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Ended, Queuepost};
use crate::contract::server::skipped;

async fn ran(args: &[&str], env: &[(&str, &str)]) -> Ended {
    Queuepost::start(args, env).ended().await
}

/// An empty folder of this test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The subcommands that the help lists.
async fn subcommands() -> Vec<String> {
    let help = ran(&["--help"], &[]).await.output;
    let block = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = block.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

#[tokio::test]
async fn completions_are_scripts_that_their_shells_accept() {
    let folder = folder("completions");
    for (shell, check) in [
        ("bash", Some("-n")),
        ("zsh", Some("-n")),
        ("fish", Some("--no-execute")),
        ("powershell", None),
        ("elvish", None),
    ] {
        let script = ran(&["completions", shell], &[]).await;
        assert_eq!(script.code, Some(0), "{shell}: {}", script.output);
        for name in subcommands().await.iter().map(String::as_str).chain(["throttle-delay"]) {
            assert!(script.output.contains(name), "{shell} does not know {name}");
        }
        let file = folder.join(shell);
        std::fs::write(&file, &script.output).unwrap();
        let Some(check) = check else { continue };
        match Command::new(shell).arg(check).arg(&file).output() {
            Ok(read) => assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr)),
            Err(_) => skipped(&format!(
                "completions_are_scripts_that_their_shells_accept: {shell} is not installed"
            )),
        }
    }
    // What bash offers after the first letters of an option.
    let ask = format!(
        "source {}; COMP_WORDS=(queuepost run --thr); COMP_CWORD=2; _queuepost queuepost --thr run; echo \"${{COMPREPLY[*]}}\"",
        folder.join("bash").display()
    );
    if let Ok(offered) = Command::new("bash").args(["--norc", "-c", &ask]).output() {
        assert_eq!(String::from_utf8_lossy(&offered.stdout).trim(), "--throttle-delay", "{offered:?}");
    }
    let unknown = ran(&["completions", "csh"], &[]).await;
    assert!(unknown.code == Some(2) && unknown.output.contains("powershell"), "{}", unknown.output);
}

#[tokio::test]
async fn the_manual_has_every_subcommand_and_a_page_for_each() {
    let names = subcommands().await;
    assert!(names.len() > 7, "{names:?}");
    let page = ran(&["man"], &[]).await;
    assert!(page.code == Some(0) && page.output.contains(".TH queuepost 1"), "{}", page.output);
    let folder = folder("man").join("man1");
    let written = ran(&["man", "--directory", folder.to_str().unwrap()], &[]).await;
    assert_eq!((written.code, written.output.as_str()), (Some(0), ""));
    for name in &names {
        assert!(page.output.contains(&format!("queuepost\\-{name}(1)")), "{name}: {}", page.output);
        let own = std::fs::read_to_string(folder.join(format!("queuepost-{name}.1"))).unwrap();
        assert!(own.contains(".SH DESCRIPTION") && own.contains(".SH OPTIONS"), "{name}: {own}");
    }
    let not_there = ran(&["man", "--directory", "/dev/null/man1"], &[]).await;
    assert!(
        not_there.code == Some(1) && not_there.output.contains("cannot be written"),
        "{}",
        not_there.output
    );
}

#[tokio::test]
async fn the_schema_is_printed_as_it_is_committed() {
    let schema = ran(&["schema"], &[]).await;
    let committed = include_str!("../../docs/queuepost.schema.json");
    assert_eq!((schema.code, schema.output.trim()), (Some(0), committed.trim()));
}

#[tokio::test]
async fn the_complete_example_is_checked_without_a_complaint() {
    let folder = folder("complete");
    let certificate = rcgen::generate_simple_self_signed(vec!["h.example".to_owned()]).unwrap();
    let (certificate, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    for (name, text) in [
        ("token", "a-token"),
        ("admin-token", "0123456789abcdef"),
        ("webhook", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("key", "a-key"),
        ("header", "Authorization: Bearer a-token"),
        ("ca.pem", &certificate),
        ("client.pem", &certificate),
        ("client-key.pem", &key),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join(name), mode).unwrap();
    }
    std::fs::create_dir_all(folder.join("listeners")).unwrap();
    let env = [
        ("SECRETS", folder.to_str().unwrap()),
        ("NEXT_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("API_KEY", "a-key"),
        ("AUTH_HEADER", "Authorization: Bearer a-token"),
        ("HMAC_SECRET", "0123456789abcdef"),
        ("PASSWORD", "a-password"),
        ("CLIENT_SECRET", "a-secret"),
    ];
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/complete.yaml");
    let checked = ran(&["check", "--offline", "--config", example], &env).await;
    assert_eq!(checked.code, Some(0), "{}", checked.output);
    assert!(!checked.output.contains('✘'), "{}", checked.output);
}

#[tokio::test]
async fn a_misspelt_variable_is_warned_of_and_one_of_kubernetes_is_not() {
    let args = ["check", "--offline", "--queue", "orders", "--url", "http://127.0.0.1:1/"];
    let env = [
        ("QUEUEPOST_WORKRES", "3"),
        ("QUEUEPOST_TIMEOUT", "10s"),
        ("QUEUEPOST_SERVICE_HOST", "10.0.0.7"),
        ("QUEUEPOST_PORT", "tcp://10.0.0.7:9464"),
        ("QUEUEPOST_PORT_9464_TCP_ADDR", "10.0.0.7"),
    ];
    let checked = ran(&args, &env).await;
    assert_eq!(checked.code, Some(0), "{}", checked.output);
    assert_eq!(checked.output.matches("nothing reads it").count(), 1, "{}", checked.output);
    assert!(
        checked
            .output
            .contains("QUEUEPOST_WORKRES is set, and nothing reads it; did you mean `QUEUEPOST_WORKERS`?"),
        "{}",
        checked.output
    );
}
