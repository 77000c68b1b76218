//! Metrics: every one that is declared moves when what it counts happens, and none of them, nor any log line, carries content.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muniment::archive::Append as _;
use serde_json::json;

use super::world::{Setting, World};
use crate::service::{Firm, HOST, Origin, TOKEN, eventually};
use crate::support::submissions::{advisor, post};

/// By what a metric is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fed {
    /// Appending, publishing, projecting, verifying, answering.
    Archive,
    /// An outage of the archive.
    Outage,
    /// What devices do at the proxy.
    Proxy,
    /// A projector that cannot write.
    StuckProjector,
    /// A rule that does not end, which a worker is killed for; tested beside the workers.
    EndlessRule,
    /// A tunnel to an unlisted host that is asked what it is; tested beside the proxy.
    Unlisted,
    /// What is sent by itself; tested beside the webhooks.
    Webhooks,
    /// Asking witnesses; tested beside them.
    Witnesses,
}

/// Every metric there is.
const METRICS: &[(&str, Fed)] = &[
    ("api_request_seconds", Fed::Archive),
    ("api_requests", Fed::Archive),
    ("archive_append_group", Fed::Archive),
    ("archive_append_seconds", Fed::Archive),
    ("capture_gap", Fed::Outage),
    ("captured", Fed::Archive),
    ("checkpoint_age_seconds", Fed::Archive),
    ("intercepted", Fed::Proxy),
    ("leaves_minted", Fed::Proxy),
    ("ledger_size", Fed::Archive),
    ("pass_through", Fed::Proxy),
    ("passwords_compared", Fed::Proxy),
    ("projection_lag_entries", Fed::StuckProjector),
    ("proxy_connections", Fed::Proxy),
    ("proxy_hold_seconds", Fed::Proxy),
    ("recognitions_killed", Fed::EndlessRule),
    ("refused", Fed::Proxy),
    ("spool_bytes", Fed::Outage),
    ("spool_entries", Fed::Outage),
    ("unlisted_hosts_asked", Fed::Unlisted),
    ("verifications", Fed::Archive),
    ("verified_timestamp_seconds", Fed::Archive),
    ("webhook_deliveries", Fed::Webhooks),
    ("webhooks_disabled", Fed::Webhooks),
    ("witness_alarms", Fed::Witnesses),
    ("witness_asked", Fed::Witnesses),
    ("witness_behind", Fed::Witnesses),
    ("witnessed_size", Fed::Witnesses),
];

/// Sample lines by the metric they belong to; its name is the one in `# TYPE`.
fn samples(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut samples = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            kind.split(' ').next().unwrap().clone_into(&mut current);
            samples.insert(current.clone(), Vec::new());
        } else if !line.starts_with('#') {
            samples.get_mut(&current).unwrap().push(line.to_owned());
        }
    }
    samples
}

/// The metrics whose samples differ.
fn moved(before: &str, after: &str) -> BTreeSet<String> {
    let (before, after) = (samples(before), samples(after));
    after.iter().filter(|(name, lines)| before.get(*name) != Some(lines)).map(|(name, _)| name.clone()).collect()
}

fn fed(by: Fed) -> impl Iterator<Item = &'static str> {
    METRICS.iter().filter(move |(_, fed)| *fed == by).map(|(name, _)| *name)
}

fn assert_moved(before: &str, after: &str, by: Fed) {
    let moved = moved(before, after);
    for name in fed(by) {
        assert!(moved.contains(name), "{name} did not move: {:#?}", samples(after).get(name));
    }
}

async fn scrape(world: &World) -> String {
    let answer = world.get("/metrics").send().await;
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(answer.text().ends_with("# EOF\n"));
    answer.text()
}

#[test]
fn every_metric_is_known_here_with_what_feeds_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let declared = std::fs::read_to_string(src.join("telemetry/metrics.rs")).unwrap();
    // One with labels shows no line before its first event, so what is registered counts.
    let registered = declared.lines().filter_map(|line| line.trim().strip_prefix("r.register(\"")?.split('"').next());
    assert_eq!(registered.collect::<BTreeSet<_>>(), METRICS.iter().map(|(name, _)| *name).collect());
    // And each way to feed one is used by the program.
    let methods = declared.lines().filter_map(|line| line.strip_prefix("    pub fn ")?.split('(').next());
    let code = read(&src);
    let mut count = 0;
    for method in methods.filter(|method| !["new", "encode"].contains(method)) {
        let call = format!("metrics.{method}(");
        assert!(
            code.iter().any(|(path, text)| !path.contains("telemetry") && text.contains(&call)),
            "nobody calls {method}"
        );
        count += 1;
    }
    assert!(count >= 15, "only {count}");
}

fn read(dir: &Path) -> Vec<(String, String)> {
    let entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files = entries.into_iter().flat_map(|path| match path.is_dir() {
        true => read(&path),
        false => vec![(path.display().to_string(), std::fs::read_to_string(&path).unwrap_or_default())],
    });
    files.collect()
}

#[tokio::test]
async fn the_archive_and_the_api_feed_their_metrics() {
    let world = World::new().await;
    let before = scrape(&world).await;
    let officer = world.officer(&["compliance"]).await;
    world.test.archive.append(post(&world.test, advisor(1), "words nobody may see")).await.unwrap();
    world.test.archive.publish(true).await.unwrap();
    world.test.archive.verify_and_record(Arc::new(|_alarm| ())).await.unwrap();
    world.project().await;
    for path in ["/v1/records?text=nobody", "/v1/records/x", "/v1/nothing/nobody", "/v1/records"] {
        world.get(path).officer(&officer).send().await;
    }
    let after = scrape(&world).await;
    assert_moved(&before, &after, Fed::Archive);
    assert!(after.contains("api_requests_total{route=\"/v1/records/{id}\",status=\"400\"} 1"), "{after}");
    assert!(after.contains("api_requests_total{route=\"unknown\",status=\"404\"} 1"), "{after}");
    assert!(!after.contains("nobody"), "{after}");
}

#[tokio::test]
async fn a_projector_that_is_stuck_feeds_the_metric_that_shows_it() {
    let world = World::new().await;
    world.project().await;
    let before = scrape(&world).await;
    assert!(before.contains("projection_lag_entries 0\n"), "{before}");
    world.test.database.tamper("revoke insert on projection.records from muniment_project").await;
    world.test.archive.append(post(&world.test, advisor(1), "words nobody may see")).await.unwrap();
    let size = world.test.archive.head_size().await.unwrap();
    world.test.archive.project(size).await.unwrap_err();
    let after = scrape(&world).await;
    assert_moved(&before, &after, Fed::StuckProjector);
    assert!(after.contains("projection_lag_entries 1\n"), "{after}");
    world.test.database.tamper("grant insert on projection.records to muniment_project").await;
    world.project().await;
    assert!(scrape(&world).await.contains("projection_lag_entries 0\n"));
}

#[tokio::test]
async fn an_outage_feeds_the_metrics_of_the_spool() {
    let append_timeout = Duration::from_millis(500);
    let world = World::with(Setting { relay: true, append_timeout, ..Setting::default() }).await;
    let before = scrape(&world).await;
    let submission = post(&world.test, advisor(1), "words nobody may see");
    world.relay.as_ref().unwrap().close();
    world.instance.spool.keep(submission).await.unwrap();
    let after = scrape(&world).await;
    assert_moved(&before, &after, Fed::Outage);
    let waiting = samples(&after)["spool_entries"][0].strip_prefix("spool_entries ").unwrap().to_owned();
    assert_ne!(waiting, "0");
    let problem = world.get("/ready").send().await.problem(503, "archive-unavailable");
    assert!(problem["detail"].as_str().unwrap().contains(&format!("{waiting} entries wait in the spool")), "{problem}");
}

#[test]
fn devices_feed_the_metrics_of_the_proxy_and_neither_metrics_nor_logs_carry_content() {
    let origin = Origin::start();
    let address = origin.address().to_string();
    let hosts = [(HOST.to_owned(), address.clone()), ("tunnel.test".to_owned(), address)];
    let more = "never = [\"tunnel.test\"]\n[log]\nfilter = \"info,muniment=trace\"\n";
    let firm = Firm::beside(&hosts, origin.root_pem(), more);
    let mut service = firm.serve();
    let scrape = || String::from_utf8(firm.officer("none").get(&firm.api("/metrics")).unwrap().body).unwrap();
    let before = scrape();
    let device = firm.add_device(&firm.add_advisor("Zebediah Advisor"), "quux phone");
    let token = firm.add_officer("Wilhelmina Officer", "compliance");
    let said = "xylophone mandolin";
    let curl = firm.device(&device).header("authorization", &format!("Bearer {TOKEN}"));
    curl.json(&json!({ "status": said })).send(&origin.url("/api/v1/statuses")).unwrap().json(200);
    // Tunnelled unread; and refused, for want of a password.
    let tunnel = format!("https://tunnel.test:{}/", origin.address().port());
    let _other_certificate = firm.device(&device).flag("--insecure").get(&tunnel);
    let stranger = crate::service::Device { id: device.id.clone(), secret: "guessed-secret".to_owned() };
    assert!(firm.device(&stranger).get(&origin.url("/")).is_err());
    let held = TcpStream::connect(("127.0.0.1", firm.proxy)).unwrap();
    eventually(|| moved(&before, &scrape()).contains("proxy_connections").then_some(()));
    let after = scrape();
    drop(held);
    assert_moved(&before, &after, Fed::Proxy);

    let officer = firm.officer(&token).header("muniment-purpose", "theremin inquiry");
    let found = eventually(|| {
        let found = officer.get(&firm.api("/v1/records?text=xylophone")).unwrap().json(200);
        found["records"].as_array().unwrap().first().cloned()
    });
    let record = format!("/v1/records/{}", found["id"].as_str().unwrap());
    let mut ids = Vec::new();
    for path in
        [record.as_str(), "/v1/advisors", "/v1/records?words=mandolin", "/v1/records?kind=xylophone", "/v1/xylophone"]
    {
        let answer = officer.get(&firm.api(path)).unwrap();
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    let metrics = scrape();
    assert!(metrics.contains("api_requests_total"));
    let mut lines = Vec::new();
    // Whoever calls with the id of an answer finds its line, with the template of the route and never the path.
    for id in ids {
        let found = eventually(|| {
            lines.extend(service.lines());
            lines.iter().find(|line| line.contains(&id) && line.contains("api request")).cloned()
        });
        assert!(found.contains("\"http.route\":\"/v1/") || found.contains("\"http.route\":\"unknown\""), "{found}");
    }
    assert!(lines.len() > 10 && lines.iter().any(|line| line.contains("api request")), "{lines:#?}");
    assert_eq!(service.stop(), 0);
    let secret = token.strip_prefix("muniment_").unwrap();
    for private in [
        "xylophone",
        "mandolin",
        "theremin",
        "zebediah",
        "wilhelmina",
        "quux",
        TOKEN,
        secret,
        "guessed-secret",
        &device.secret,
    ] {
        let holds = |text: &str| text.to_lowercase().contains(&private.to_lowercase());
        assert!(!holds(&metrics), "{private} is in the metrics");
        if let Some(line) = lines.iter().find(|line| holds(line)) {
            panic!("{private} is in the log: {line}");
        }
    }
}
