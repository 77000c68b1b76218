//! Tokens that end, and tokens that reach only so far.

use std::time::Duration;

use muniment::archive::Limits;
use muniment::record::{Clock as _, Timestamp};

use super::kept::keep;
use super::routes::{ROUTES, Shown};
use super::world::{World, by};

fn after(world: &World, seconds: i64) -> Timestamp {
    Timestamp::from_unix_micros(world.test.clock.now().unix_micros() + seconds * 1_000_000).unwrap()
}

#[tokio::test]
async fn a_token_that_has_ended_is_refused_everywhere_and_the_refusal_says_when() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let end = after(&world, 2);
    let officer = world.officer_within(&["compliance"], &Limits { expires_at: Some(end), ..Limits::default() }).await;
    assert_eq!(world.get("/v1/records").officer(&officer).send().await.status, 200);
    // Whoever may write to the tables cannot give it more time.
    world.test.database.tamper("update projection.officers set expires_at = null").await;
    while world.test.clock.now() < end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = world.test.archive.head_size().await.unwrap();
    for route in ROUTES.iter().filter(|route| !route.roles.is_empty()) {
        let path = shown.address(route.template, route.written.first().copied());
        let problem = world.get(&path).officer(&officer).send().await.problem(401, "token-expired");
        assert!(problem["detail"].as_str().unwrap().contains(&end.to_string()), "{path}: {problem}");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before, "nobody looked");
}

#[tokio::test]
async fn a_token_for_some_operations_reaches_those_and_no_other_and_a_refusal_is_on_record() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let limits = Limits { operations: vec!["read-ledger".to_owned(), "gaps.list".to_owned()], ..Limits::default() };
    let officer = world.officer_within(&["compliance"], &limits).await;
    world.test.database.tamper("update projection.officers set operations = '{}'").await;
    for route in ROUTES.iter().filter(|route| !route.roles.is_empty()) {
        let operations =
            if route.written.is_empty() { vec![None] } else { route.written.iter().copied().map(Some).collect() };
        for operation in operations {
            let path = shown.address(route.template, operation);
            let before = world.test.archive.head_size().await.unwrap();
            let answer = world.get(&path).officer(&officer).send().await;
            let reached = route.roles == ["compliance", "legal", "auditor"]
                && !["/v1/access", "/v1/holds", "/v1/holds/{id}", "/v1/matters", "/v1/matters/{id}"]
                    .contains(&route.template)
                || route.template == "/v1/gaps";
            if reached {
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                continue;
            }
            answer.problem(403, "out-of-scope");
            let entries = world.test.archive.head_size().await.unwrap() - before;
            assert_eq!(entries, u64::from(operation.is_some()), "{path}: refused, and on record as that");
        }
    }
    // A scope adds nothing to a role.
    let limits = Limits { operations: vec!["records.get".to_owned()], ..Limits::default() };
    let admin = world.officer_within(&["admin"], &limits).await;
    let path = format!("/v1/records/{}", shown.kept.id());
    world.get(&path).officer(&admin).send().await.problem(403, "role-missing");
}

#[tokio::test]
async fn a_token_for_some_advisors_reaches_nothing_of_anybody_else() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let other = world.test.archive.add_advisor(by(), "Bert").await.unwrap().id;
    let secret = keep(&world.test, &[other], &[], &[("0.text", b"mozambique")]).await;
    let shared = keep(&world.test, &[other, shown.advisor], &[], &[("0.text", b"between the two")]).await;
    world.project().await;
    let limits = Limits { advisors: vec![shown.advisor], ..Limits::default() };
    let officer = world.officer_within(&["compliance"], &limits).await;
    world.test.database.tamper("update projection.officers set advisors = '{}'").await;
    let ada = shown.advisor;
    for path in [
        format!("/v1/records?advisor={ada}"),
        format!("/v1/records?advisor={ada}&text=zanzibar"),
        format!("/v1/records/{}", shown.kept.id()),
        format!("/v1/records/{}", shared.id()),
        format!("/v1/records/{}/versions", shown.kept.id()),
        format!("/v1/records/{}/thread", shown.kept.id()),
        format!("/v1/records/facets?advisor={ada}"),
        format!("/v1/records/{}/fields/{}/0.text", shown.kept.id(), shown.kept.index),
        format!("/v1/advisors/{ada}"),
        format!("/v1/devices/{}", shown.device),
        format!("/v1/devices?advisor={ada}"),
        format!("/v1/accounts/{}", shown.account),
        format!("/v1/gaps?advisor={ada}"),
        format!("/v1/access?advisor={ada}"),
        "/v1/integrity".to_owned(),
        "/v1/checkpoints/latest".to_owned(),
    ] {
        let answer = world.get(&path).officer(&officer).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    for path in [
        "/v1/records".to_owned(),
        "/v1/records?text=mozambique".to_owned(),
        format!("/v1/records?advisor={other}"),
        format!("/v1/records/{}", secret.id()),
        format!("/v1/records/{}/versions", secret.id()),
        format!("/v1/records/{}/thread", secret.id()),
        "/v1/records/facets".to_owned(),
        "/v1/records/facets?text=mozambique".to_owned(),
        "/v1/records/export".to_owned(),
        format!("/v1/records/export?advisor={other}"),
        format!("/v1/records/{}/fields/{}/0.text", secret.id(), secret.index),
        // Named by the path or by a parameter: both must be hers.
        format!("/v1/access?advisor={ada}&record={}", secret.id()),
        "/v1/records/01890000-0000-7000-8000-000000000000".to_owned(),
        "/v1/advisors".to_owned(),
        format!("/v1/advisors/{other}"),
        "/v1/devices".to_owned(),
        "/v1/devices/01890000-0000-7000-8000-000000000000".to_owned(),
        "/v1/officers".to_owned(),
        "/v1/gaps".to_owned(),
        "/v1/access".to_owned(),
        format!("/v1/entries/{}", secret.index),
        "/v1/tile/entries/000.p/2".to_owned(),
    ] {
        let before = world.test.archive.head_size().await.unwrap();
        let answer = world.get(&path).officer(&officer).send().await;
        answer.problem(403, "out-of-scope");
        assert!(!answer.text().contains("mozambique") && !answer.text().contains("Bert"), "{path}");
        assert_eq!(world.test.archive.head_size().await.unwrap(), before + 1, "{path}: the refusal is on record");
    }
}
