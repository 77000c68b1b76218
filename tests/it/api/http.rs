//! HTTP itself: conditional requests, what is accepted, compression, rates.

use std::io::Read as _;
use std::time::Duration;

use muniment::archive::Append as _;

use super::routes::{ROUTES, Shown};
use super::world::{Setting, World};
use crate::support::submissions::gap;

#[tokio::test]
async fn who_has_the_answer_already_is_told_that_it_is_unchanged_and_the_look_is_on_record() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    for path in [
        "/v1/checkpoints/latest".to_owned(),
        format!("/v1/advisors/{}", shown.advisor),
        "/v1/tile/0/000.p/2".to_owned(),
    ] {
        let first = world.get(&path).officer(&officer).send().await;
        assert_eq!(first.status, 200);
        let tag = first.header("etag").expect("a tag").to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        let strong = tag.trim_start_matches("W/");
        for known in [tag.clone(), strong.to_owned(), format!("\"other\", {tag}"), "*".to_owned()] {
            let before = world.test.archive.head_size().await.unwrap();
            let again = world.get(&path).officer(&officer).header("if-none-match", &known).send().await;
            assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path} {known}");
            assert_eq!(again.header("etag"), Some(&*tag));
            let looks = world.test.archive.head_size().await.unwrap() - before;
            assert_eq!(looks, u64::from(path.contains("advisors")), "{path}");
        }
        let other = world.get(&path).officer(&officer).header("if-none-match", "\"other\"").send().await;
        assert_eq!((other.status.as_u16(), &other.body), (200, &first.body));
    }
    let before = world.get("/v1/checkpoints/latest").officer(&officer).send().await;
    world.test.archive.append(gap(&world.test, "outage")).await.unwrap();
    world.test.archive.publish(true).await.unwrap();
    let call = world.get("/v1/checkpoints/latest").officer(&officer);
    let after = call.header("if-none-match", before.header("etag").unwrap()).send().await;
    assert_eq!(after.status, 200, "another checkpoint has another tag");
    assert_ne!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn what_cannot_be_answered_as_asked_is_refused_before_anybody_looks() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let before = world.test.archive.head_size().await.unwrap();
    for route in ROUTES {
        let path = shown.address(route.template, route.written.first().copied());
        let answer = world.get(&path).officer(&officer).header("accept", "image/x-nobody").send().await;
        let problem = answer.problem(406, "not-acceptable");
        assert!(problem["detail"].as_str().unwrap().contains('/'), "{path} says what there is: {problem}");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before);
    for accept in ["*/*", "application/json", "text/html, */*;q=0.1"] {
        let answer = world.get("/v1/records").officer(&officer).header("accept", accept).send().await;
        assert_eq!(answer.status, 200, "{accept}");
    }
}

#[tokio::test]
async fn only_what_says_nothing_about_anybody_is_compressed() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let plain = world.get("/openapi.json").send().await;
    assert_eq!(plain.header("content-encoding"), None);
    for coding in ["gzip", "br", "zstd"] {
        let answer = world.get("/openapi.json").header("accept-encoding", coding).send().await;
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert!(answer.header("vary").unwrap().to_lowercase().contains("accept-encoding"));
        assert!(answer.body.len() * 4 < plain.body.len(), "{coding}: {} of {}", answer.body.len(), plain.body.len());
        let mut opened = Vec::new();
        match coding {
            "gzip" => drop(flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut opened).unwrap()),
            "br" => drop(brotli::Decompressor::new(&*answer.body, 4096).read_to_end(&mut opened).unwrap()),
            _ => opened = zstd::decode_all(&*answer.body).unwrap(),
        }
        assert_eq!(opened, plain.body);
        assert_eq!(answer.header("etag"), plain.header("etag"), "weakly the same");
        for route in ROUTES.iter().filter(|route| !route.written.is_empty()) {
            for operation in route.written {
                let path = shown.address(route.template, Some(operation));
                let answer = world.get(&path).officer(&officer).header("accept-encoding", coding).send().await;
                assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, None), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is() {
    let world = World::with(Setting { rates: (1, 0), ..Setting::default() }).await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    let mut refused = None;
    for _ in 0..20 {
        let answer = world.get("/v1/records").officer(&olga).send().await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("more than five at once is too many");
    let problem = refused.problem(429, "rate-limited");
    assert!(problem["detail"].as_str().unwrap().contains("token"), "{problem}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(world.get("/v1/records").officer(&otto).send().await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(world.get("/v1/records").officer(&olga).send().await.status, 200);
}

#[tokio::test]
async fn an_address_that_guesses_tokens_is_slowed_down_and_health_is_answered() {
    let world = World::with(Setting { rates: (0, 2), ..Setting::default() }).await;
    let before = world.test.archive.head_size().await.unwrap();
    let mut refused = 0;
    for _ in 0..40 {
        let answer = world.get("/v1/records").token("muniment_guess").send().await;
        if answer.status == 429 {
            answer.problem(429, "rate-limited");
            refused += 1;
        } else {
            answer.problem(401, "not-authenticated");
        }
    }
    assert!(refused >= 10, "only {refused} of 40 were refused");
    for path in ["/health", "/ready", "/metrics", "/openapi.json"] {
        assert_eq!(world.get(path).send().await.status, 200, "{path}");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before);
}
