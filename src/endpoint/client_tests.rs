//! The errors for TLS files that cannot be used.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn settings(tls: Tls) -> Settings {
    Settings {
        name: "models".to_owned(),
        connect_timeout: Duration::from_secs(1),
        pool_idle_timeout: Duration::from_secs(4),
        pool_size: 4,
        auth: None,
        sign: None,
        tls,
    }
}

fn refusal(tls: Tls) -> String {
    HttpClient::new(&settings(tls)).unwrap_err().to_string()
}

/// A file of this test alone, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("queuepost-client-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[test]
fn no_tls_files_is_a_client() {
    assert!(HttpClient::new(&settings(Tls::default())).is_ok());
}

#[test]
fn a_missing_file_is_named_with_its_key() {
    let tls = Tls { ca_file: Some(PathBuf::from("/nowhere/ca.pem")), ..Tls::default() };
    assert_eq!(refusal(tls), "cannot read tls.ca_file /nowhere/ca.pem");
}

#[test]
fn a_tls_file_without_end_or_too_long_is_refused() {
    let refused = |path: PathBuf| {
        let tls = Tls { ca_file: Some(path), ..Tls::default() };
        crate::telemetry::Chain(&HttpClient::new(&settings(tls)).unwrap_err()).to_string()
    };
    let text = refused(PathBuf::from("/dev/zero"));
    assert_eq!(text, "cannot read tls.ca_file /dev/zero: it is no regular file");
    let long = File::new("long.pem", &"x".repeat(1024 * 1024 + 1));
    let text = refused(long.0.clone());
    assert!(text.ends_with(": it is longer than 1024 KiB"), "{text}");
}

#[test]
fn a_file_without_certificates_is_refused() {
    let file = File::new("empty.pem", "not a certificate\n");
    let text = refusal(Tls { ca_file: Some(file.0.clone()), ..Tls::default() });
    assert!(text.starts_with("tls.ca_file ") && text.ends_with(": no PEM certificate in it"), "{text}");
}

#[test]
fn half_a_client_certificate_is_refused() {
    let some = Some(PathBuf::from("/nowhere/pem"));
    let text = refusal(Tls { cert_file: some.clone(), ..Tls::default() });
    assert_eq!(text, "tls.cert_file is set without tls.key_file: a client certificate needs both");
    let text = refusal(Tls { key_file: some, ..Tls::default() });
    assert_eq!(text, "tls.key_file is set without tls.cert_file: a client certificate needs both");
}

#[test]
fn a_key_file_without_a_key_is_named_and_never_quoted() {
    let cert = File::new("cert.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----");
    let key = File::new("key.pem", "swordfish\n");
    let text =
        refusal(Tls { cert_file: Some(cert.0.clone()), key_file: Some(key.0.clone()), ..Tls::default() });
    assert!(text.starts_with("tls.key_file ") && text.ends_with("no usable PEM private key in it"), "{text}");
    assert!(!text.contains("swordfish"));
}

#[test]
fn an_announced_time_is_read_in_any_order_and_case_and_nonsense_is_none() {
    let of = |value: &'static str| announced(&HeaderValue::from_static(value)).map(|time| time.as_secs());
    assert_eq!(
        [of("timeout=5"), of("timeout=5, max=100"), of("max=100, Timeout = 7")],
        [Some(5), Some(5), Some(7)]
    );
    assert_eq!([of(""), of("max=100"), of("timeout"), of("timeout=soon"), of("timeout=-1")], [None; 5]);
}

#[tokio::test]
async fn the_shortest_announced_time_less_a_second_bounds_how_long_a_connection_is_kept() {
    let client = HttpClient::new(&settings(Tls::default())).unwrap();
    let idle = |announced: &'static str| {
        client.heed(&[(KEEP_ALIVE, HeaderValue::from_static(announced))].into_iter().collect());
        client.pool.read().unwrap().idle.as_secs()
    };
    assert_eq!(
        [idle("timeout=5"), idle("timeout=3"), idle("timeout=60"), idle("timeout=1"), idle("timeout=0")],
        [4, 2, 2, 0, 0]
    );
}
