//! Roles times operations, out of the document: each answers those who may, and refuses everybody else.

use super::routes::{ROLES, ROUTES, Shown};
use super::world::World;
use crate::support::sound::assert_sound;

#[tokio::test]
async fn each_operation_answers_the_roles_that_may_and_no_other() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    for role in ROLES {
        let officer = world.officer(&[role]).await;
        for route in ROUTES {
            let operations: Vec<Option<&str>> = match route.written {
                [] => vec![None],
                written => written.iter().copied().map(Some).collect(),
            };
            for operation in operations {
                let path = shown.address(route.template, operation);
                let answer = world.get(&path).officer(&officer).send().await;
                if route.roles.is_empty() || route.roles.contains(&role) {
                    assert_eq!(answer.status, 200, "{role} {path}: {}", answer.text());
                } else {
                    let problem = answer.problem(403, "role-missing");
                    assert_eq!(problem["roles"], serde_json::json!(route.roles), "{role} {path}");
                    assert!(problem["permission"].is_string());
                    assert!(!answer.text().contains("zanzibar"));
                }
            }
        }
    }
    assert_sound(&world.test).await;
}

#[tokio::test]
async fn several_roles_add_up_and_unknown_ones_allow_nothing() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let both = world.officer(&["auditor", "admin"]).await;
    let stranger = world.officer(&["admin"]).await;
    // As a newer program may have written it.
    let emperor = format!("update projection.officers set roles = '{{emperor}}' where officer = '{}'", stranger.id);
    world.test.database.tamper(&emperor).await;
    for (path, both_may) in [
        ("/v1/advisors".to_owned(), true),
        ("/v1/checkpoints".to_owned(), true),
        ("/v1/records".to_owned(), false),
        (format!("/v1/records/{}", shown.kept.id()), false),
    ] {
        let answer = world.get(&path).officer(&both).send().await;
        assert_eq!(answer.status == 200, both_may, "{path}: {}", answer.text());
        world.get(&path).officer(&stranger).send().await.problem(403, "role-missing");
    }
}

#[tokio::test]
async fn nobody_is_told_anything_before_showing_a_token() {
    let world = World::new().await;
    let shown = Shown::new(&world).await;
    let before = world.test.archive.head_size().await.unwrap();
    for route in ROUTES.iter().filter(|route| !route.roles.is_empty()) {
        let path = shown.address(route.template, route.written.first().copied());
        let call = world.get(&path).header("muniment-purpose", "a test looks");
        call.send().await.problem(401, "not-authenticated");
        for credentials in [
            "Bearer",
            "Bearer ",
            "Basic b2xnYTpzZWNyZXQ=",
            "Bearer secret",
            "Bearer muniment_",
            "Bearer muniment_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "Bearer muniment_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "Bearer \u{fffd}\u{fffd}",
            "muniment_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let answer = call.clone().header("authorization", credentials).send().await;
            let problem = answer.problem(401, "not-authenticated");
            assert!(!problem.to_string().contains("AAAA"), "what was sent is not sent back: {problem}");
        }
        // Whether the address, a parameter or a record exists is none of their business either.
        let odd = format!("{path}{}nonsense=1", if path.contains('?') { '&' } else { '?' });
        world.get(&odd).send().await.problem(401, "not-authenticated");
    }
    assert_eq!(world.test.archive.head_size().await.unwrap(), before, "a stranger writes nothing into the ledger");
}
