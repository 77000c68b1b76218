//! curl, as it is installed: HTTP/1.1 and HTTP/2, credentials, an HTTPS proxy, a bad CA, Expect, uploads.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use muniment::capture::GapCause;
use tokio::process::Command;

use super::support::device::{PASSWORD, USER};
use super::support::peer::SOON;
use super::support::{Note, Origin, World, WorldBuilder};

const HOST: &str = "social.test";

async fn world(alpn: &[&str]) -> (World, Origin) {
    let builder = WorldBuilder::new();
    let origin = Origin::start(builder.root.config(&[HOST, "other.test"], alpn)).await;
    let address = origin.address;
    (builder.listed(HOST, address).reachable("other.test", address).start().await, origin)
}

async fn curl(world: &World, arguments: &[&str]) -> Output {
    let proxy = format!("http://{USER}:{PASSWORD}@{}", world.proxy);
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--proxy", &proxy, "--cacert"]).arg(&world.ca_file);
    command.args(arguments).env_clear().kill_on_drop(true);
    command.output().await.unwrap()
}

async fn text(world: &World, arguments: &[&str]) -> String {
    let output = curl(world, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn last_write(world: &World) -> Vec<u8> {
    world.recorder.writes().pop().unwrap().1
}

const LEGS: [(&str, &[&str], http::Version); 4] = [
    ("--http1.1", &["http/1.1"], http::Version::HTTP_11),
    ("--http1.1", &["h2", "http/1.1"], http::Version::HTTP_2),
    ("--http2", &["http/1.1"], http::Version::HTTP_11),
    ("--http2", &["h2", "http/1.1"], http::Version::HTTP_2),
];

#[tokio::test]
async fn p1_a_post_is_recorded_and_then_sent_whatever_either_leg_speaks() {
    for (device, alpn, upstream) in LEGS {
        let (world, origin) = world(alpn).await;
        let shown = text(
            &world,
            &[
                device,
                "--data",
                "status=hello",
                "--write-out",
                " %{http_code} %{http_version}",
                "https://social.test/post",
            ],
        )
        .await;
        let version = if device == "--http2" { "2" } else { "1.1" };
        assert_eq!(shown, format!("{{\"received\":12}} 201 {version}"), "{device} {alpn:?}");
        assert_eq!(last_write(&world), b"status=hello");
        let seen = &origin.seen()[0];
        assert_eq!((seen.version, &seen.body[..]), (upstream, &b"status=hello"[..]), "{device} {alpn:?}");
        world
            .recorder
            .until("outcome", |notes| notes.iter().any(|n| matches!(n, Note::Outcome { status: Some(201), .. })))
            .await;
    }
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_read_by_the_device_whatever_it_speaks() {
    let mut builder = WorldBuilder::new();
    builder.proxy.limits.body = muniment::settings::Size(1 << 20);
    let origin = Origin::start(builder.root.config(&[HOST], &["http/1.1"])).await;
    let address = origin.address;
    let world = builder.listed(HOST, address).start().await;
    let body = world.directory.path().join("body");
    std::fs::write(&body, vec![b'x'; 3 << 20]).unwrap();
    let body = format!("@{}", body.display());
    for device in ["--http1.1", "--http2"] {
        // With a length it is refused at once, without one where it passes the bound.
        for more in ["Accept: application/json", "Transfer-Encoding: chunked"] {
            let arguments = [
                device,
                "--header",
                more,
                "--header",
                "Expect:",
                "--data-binary",
                &body,
                "--write-out",
                " %{http_code}",
            ];
            let shown = text(&world, &[&arguments[..], &["https://social.test/post"]].concat()).await;
            assert!(shown.contains("too_large") && shown.ends_with(" 413"), "{device} {more}: {shown}");
        }
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn reads_stream_through_whatever_either_leg_speaks() {
    for (device, alpn, _) in LEGS {
        let (world, _origin) = world(alpn).await;
        for (path, size) in [("forward/bytes/0", 0), ("forward/bytes/1", 1), ("forward/bytes/3000000", 3_000_000)] {
            let output = curl(&world, &[device, &format!("https://social.test/{path}")]).await;
            assert!(output.status.success(), "{device} {alpn:?} {path} {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout.len(), size, "{device} {alpn:?}");
        }
        let streamed = text(&world, &[device, "https://social.test/forward/stream/200"]).await;
        assert!(streamed.ends_with("piece 199\n"), "{device} {alpn:?}");
        let shown = text(&world, &[device, "--head", "https://social.test/forward/bytes/7"]).await.to_lowercase();
        assert!(shown.contains("content-length: 7"), "{device} {alpn:?}: {shown}");
        for status in ["204", "304", "404"] {
            let url = format!("https://social.test/forward/status/{status}");
            assert_eq!(
                text(&world, &[device, "--output", "/dev/null", "--write-out", "%{http_code}", &url]).await,
                status
            );
        }
    }
}

#[tokio::test]
async fn right_wrong_and_no_credentials() {
    let (world, _origin) = world(&["h2"]).await;
    let plain = format!("http://{}", world.proxy);
    let with = |user: &str| format!("http://{user}@{}", world.proxy);
    for (proxy, code) in [
        (plain, "407"),
        (with("laptop:wrong"), "407"),
        (with("nobody:x"), "407"),
        (with(&format!("{USER}:{PASSWORD}")), "200"),
    ] {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "20",
                "--proxy",
                &proxy,
                "--write-out",
                "%{http_connect}",
                "--output",
                "/dev/null",
            ])
            .arg("--cacert")
            .arg(&world.ca_file)
            .arg("https://social.test/forward/none")
            .env_clear()
            .output()
            .await
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), code, "{proxy}");
    }
}

#[tokio::test]
async fn curl_that_is_asked_for_a_credential_answers_on_the_same_connection() {
    let (world, _origin) = world(&["http/1.1"]).await;
    let shown =
        text(&world, &["--proxy-anyauth", "--write-out", " %{num_connects}", "https://social.test/forward/bytes/3"])
            .await;
    assert_eq!(shown, "xxx 1");
}

#[tokio::test]
async fn an_https_proxy_takes_credentials_over_its_own_tls() {
    let mut builder = WorldBuilder::new();
    let origin = Origin::start(builder.root.config(&[HOST], &["h2", "http/1.1"])).await;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["proxy.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(path("proxy.pem"), own.pem()).unwrap();
    std::fs::write(path("proxy.key"), key.serialize_pem()).unwrap();
    builder.proxy.tls = Some(muniment::settings::file::TlsListener {
        listen: "127.0.0.1:0".parse().unwrap(),
        certificate: path("proxy.pem"),
        key: path("proxy.key"),
    });
    let world = builder.listed(HOST, origin.address).start().await;
    let port = world.tls_proxy.unwrap().port();
    let proxy = format!("https://{USER}:{PASSWORD}@proxy.test:{port}");
    let resolve = format!("proxy.test:{port}:127.0.0.1");
    let own_pem = path("proxy.pem");
    let shown = text(
        &world,
        &[
            "--proxy",
            &proxy,
            "--proxy-cacert",
            own_pem.to_str().unwrap(),
            "--resolve",
            &resolve,
            "--data",
            "hello",
            "https://social.test/post",
        ],
    )
    .await;
    assert_eq!(shown, "{\"received\":5}");
    assert_eq!(last_write(&world), b"hello");
}

#[tokio::test]
async fn a_device_that_does_not_trust_the_firm_is_a_gap_and_nothing_is_sent() {
    let (world, origin) = world(&["h2"]).await;
    let proxy = format!("http://{USER}:{PASSWORD}@{}", world.proxy);
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--proxy", &proxy, "--data", "hello", "https://social.test/post"])
        .env_clear()
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(60), "peer certificate cannot be authenticated");
    world.recorder.until_gap(GapCause::LeafRefused).await;
    assert!(origin.seen().is_empty() && world.recorder.writes().is_empty());
}

#[tokio::test]
async fn p3_an_unlisted_host_keeps_its_own_certificate() {
    let (world, origin) = world(&["h2"]).await;
    let root = world.directory.path().join("origins.pem");
    let url = format!("https://other.test:{}/post", origin.address.port());
    let refused = curl(&world, &["--data", "private", &url]).await;
    assert_eq!(refused.status.code(), Some(60), "the firm's root does not help with it");
    text(&world, &["--cacert", root.to_str().unwrap(), "--data", "private", &url]).await;
    assert_eq!(origin.seen()[0].body, "private");
    assert!(world.recorder.notes().is_empty());
}

#[tokio::test]
async fn expect_100_continue_is_answered_by_us_on_a_held_write_and_not_asked_of_the_origin() {
    for (device, alpn, _) in LEGS {
        let (world, origin) = world(alpn).await;
        let began = std::time::Instant::now();
        text(
            &world,
            &[
                device,
                "--header",
                "Expect: 100-continue",
                "--expect100-timeout",
                "20",
                "--data",
                "hello",
                "https://social.test/post",
            ],
        )
        .await;
        assert!(began.elapsed() < Duration::from_secs(10), "curl did not have to wait, {device} {alpn:?}");
        assert_eq!(last_write(&world), b"hello");
        assert!(!origin.seen()[0].headers.contains_key("expect"), "{device} {alpn:?}");
    }
}

#[tokio::test]
async fn a_chunked_upload_is_held_whole() {
    for (device, alpn, _) in LEGS {
        let (world, origin) = world(alpn).await;
        let file = world.directory.path().join("upload");
        std::fs::write(&file, vec![b'u'; 700_000]).unwrap();
        let body = format!("@{}", file.display());
        text(
            &world,
            &[device, "--header", "Transfer-Encoding: chunked", "--data-binary", &body, "https://social.test/post"],
        )
        .await;
        assert_eq!(last_write(&world).len(), 700_000, "{device} {alpn:?}");
        assert_eq!(origin.seen()[0].body.len(), 700_000);
    }
}

#[tokio::test]
async fn a_refused_write_is_told_as_json_and_as_a_page_and_the_origin_never_sees_it() {
    let (world, origin) = world(&["h2", "http/1.1"]).await;
    world.recorder.refuse(muniment::capture::RefusalReason::ArchiveUnavailable);
    for (device, accept, wanted) in [
        ("--http1.1", "application/json", "\"refusal\":\"not_kept\""),
        ("--http2", "text/html", "<h1>Your message could not be recorded, so it was not sent.</h1>"),
    ] {
        let accept = format!("Accept: {accept}");
        let shown = text(
            &world,
            &[device, "--header", &accept, "--data", "x", "--write-out", "%{http_code}", "https://social.test/post"],
        )
        .await;
        assert!(shown.contains(wanted) && shown.ends_with("503"), "{shown}");
    }
    assert_eq!(world.recorder.gaps(), [GapCause::WriteRefused, GapCause::WriteRefused]);
    assert!(origin.seen().is_empty());
    assert!(tokio::time::timeout(SOON, async {}).await.is_ok());
}
