//! Tokens: refused at once when revoked, everywhere; never twice in a request; never over a wire that others read.

use super::routes::{ROUTES, Shown};
use super::world::{World, by};

#[tokio::test]
async fn a_revoked_officer_is_refused_at_once_here_and_in_another_process() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let officer = world.officer(&["compliance"]).await;
    let other = world.officer(&["compliance"]).await;
    let data_dir = tempfile::tempdir().unwrap();
    let second = world.second(data_dir.path()).await;
    for instance in [&world.instance, &second] {
        assert_eq!(instance.get("/v1/records").officer(&officer).send().await.status, 200);
    }
    // A page that was begun before is not ended after.
    let page = world.get("/v1/records?limit=1").officer(&officer).send().await.json(200);
    world.test.archive.revoke_officer(by(), officer.id).await.unwrap();
    for instance in [&second, &world.instance] {
        for route in ROUTES.iter().filter(|route| !route.roles.is_empty()) {
            let path = shown.address(route.template, route.written.first().copied());
            let answer = instance.get(&path).officer(&officer).send().await;
            answer.problem(401, "token-revoked");
            assert!(!answer.text().contains("zanzibar"));
        }
        let next = format!("/v1/records?limit=1&after={}", page["next"]);
        instance.get(&next).officer(&officer).send().await.problem(401, "token-revoked");
        assert_eq!(instance.get("/v1/records").officer(&other).send().await.status, 200, "nobody else is");
    }
}

#[tokio::test]
async fn an_officer_who_is_added_again_has_a_new_token_and_the_old_one_stays_refused() {
    let world = World::new().await;
    let first = world.officer(&["legal"]).await;
    world.test.archive.revoke_officer(by(), first.id).await.unwrap();
    let second = world.officer(&["legal"]).await;
    world.get("/v1/records").officer(&first).send().await.problem(401, "token-revoked");
    assert_eq!(world.get("/v1/records").officer(&second).send().await.status, 200);
}

#[tokio::test]
async fn a_token_put_into_the_tables_by_hand_lets_nobody_in() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let forged = muniment::access::Token::fresh(&muniment::capture::SystemEntropy).unwrap();
    let statement =
        format!("insert into people.tokens (hash, officer) values ('\\x{}', '{}')", forged.digest(), officer.id);
    world.test.database.tamper(&statement).await;
    world.get("/v1/records").token(forged.reveal()).send().await.problem(401, "not-authenticated");
    assert_eq!(world.get("/v1/records").officer(&officer).send().await.status, 200);
}

#[tokio::test]
async fn a_header_that_decides_something_is_given_once() {
    let world = World::new().await;
    let (olga, otto) = (world.officer(&["compliance"]).await, world.officer(&["compliance"]).await);
    let twice = world.get("/v1/records").token(&olga.token).token(&otto.token).send().await;
    assert_eq!(twice.wrong("Authorization"), "is given twice");
    let reasons = world.get("/v1/records").officer(&olga).header("muniment-purpose", "another reason").send().await;
    assert_eq!(reasons.wrong("Muniment-Purpose"), "is given twice");
    // The scheme is a word in any case.
    let call = world.get("/v1/records").header("authorization", &format!("bEARER {}", olga.token));
    assert_eq!(call.send().await.status, 200);
}

#[tokio::test]
async fn tokens_are_shown_in_no_problem_and_no_document() {
    let world = World::new().await;
    let officer = world.officer(&["admin"]).await;
    let secret = officer.token.strip_prefix("muniment_").unwrap();
    for path in ["/v1/records", "/v1/nothing", "/v1/advisors?limit=x", "/openapi.json", "/metrics", "/v1/advisors"] {
        let answer = world.get(path).officer(&officer).send().await;
        assert!(!answer.text().contains(secret), "{path}");
        assert!(answer.headers.values().all(|value| !value.to_str().unwrap().contains(secret)), "{path}");
    }
}
