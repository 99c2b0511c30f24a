//! The keys of the fleet, and what is wrong with them.

use super::*;
use crate::config::{Overrides, load};

/// The fleet of a file with this, or its problems.
fn fleet(keys: &str, endpoint: &str) -> Result<Option<Settings>, Vec<String>> {
    let text = format!(
        "{keys}\nendpoints: {{api: {{url: 'https://api.example.com', {endpoint}}}}}\n\
         listeners: [{{queue: 'https://sqs.eu-west-1.amazonaws.com/123456789012/q', endpoint: api, path: /, workers: 4}}]\n"
    );
    let file = format!("queuepost-fleet-{}-{}.yaml", std::process::id(), fastrand::u64(..));
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides { config: path.to_str().map(str::to_owned), ..Overrides::default() };
    let loaded = load(&overrides, &|_| None, false);
    std::fs::remove_file(path).unwrap();
    let problem = |problem: &crate::config::Problem| {
        format!("{}: {}; {}", problem.key, problem.rule, problem.fix.as_deref().unwrap_or_default())
    };
    loaded.map(|plan| plan.fleet).map_err(|errors| errors.problems().iter().map(problem).collect())
}

#[test]
fn a_fleet_is_counted_by_dns_or_by_whoever_wrote_the_number() {
    assert_eq!(fleet("", ""), Ok(None));
    let source = Source::Dns { name: "q.default.svc".to_owned(), server: None };
    assert_eq!(fleet("fleet: {dns: q.default.svc}", ""), Ok(Some(Settings { source, workers: false })));
    let server = Some("127.0.0.1:8600".parse().unwrap());
    let source = Source::Dns { name: "_http._tcp.q.consul.".to_owned(), server };
    let keys = "fleet: {dns: _http._tcp.q.consul., server: '127.0.0.1:8600', workers: true}";
    assert_eq!(fleet(keys, ""), Ok(Some(Settings { source, workers: true })));
    let source = Source::Fixed(NonZeroU32::new(3).unwrap());
    assert_eq!(fleet("fleet: {replicas: 3}", "sessions: 3"), Ok(Some(Settings { source, workers: false })));
}

#[test]
fn what_cannot_be_counted_is_refused_with_the_key_and_the_fix() {
    let problem = |keys, endpoint| fleet(keys, endpoint).unwrap_err().join("\n");
    assert!(problem("fleet: {}", "").contains("fleet: says nothing of how many"));
    assert!(problem("fleet: {workers: true}", "").contains("write `dns:`"));
    assert!(problem("fleet: {dns: 'a b'}", "").contains("fleet.dns: is no DNS name"));
    assert!(problem("fleet: {dns: a..b}", "").contains("is no DNS name"));
    assert!(
        problem("fleet: {dns: a, replicas: 2}", "").contains("fleet.replicas: is not allowed beside `dns`")
    );
    assert!(problem("fleet: {replicas: 0}", "").contains("1 to 1,000"));
    assert!(
        problem("fleet: {replicas: 2, server: '1.2.3.4:53'}", "")
            .contains("fleet.server: has no effect without `dns`")
    );
    assert!(
        problem("fleet: {dns: a, server: here}", "")
            .contains("is no IP address and port; write 10.96.0.10:53")
    );
    let ecs = problem("fleet: {ecs: true}", "");
    assert!(ecs.contains("fleet.ecs") && ecs.contains("write `dns` with a name of Cloud Map"), "{ecs}");
}

#[test]
fn a_fixed_number_that_leaves_a_process_without_work_is_refused() {
    let problem = |endpoint, workers: &str| {
        fleet(&format!("fleet: {{replicas: 5{workers}}}"), endpoint).unwrap_err().join("\n")
    };
    assert!(problem("sessions: 4", "").contains("endpoint api has 4 `sessions`"));
    assert!(problem("sessions: 9, rate_limit: {per_second: 2}", "").contains("a `rate_limit.burst` of 2"));
    assert!(problem("sessions: 9", ", workers: true").contains("listener q has 4 `workers`"));
    assert!(fleet("fleet: {replicas: 5}", "").is_ok(), "sessions nobody wrote are each process's own");
    assert!(fleet("fleet: {dns: q}", "sessions: 1").is_ok(), "the others stand by");
}
