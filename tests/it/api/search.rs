//! Search: inflected words of four languages, phrases, beginnings, any characters; what comes first, and why it was found.

use muniment::record::RecordId;
use serde_json::{Value, json};

use super::kept::keep;
use super::world::{Officer, World};
use crate::support::submissions::advisor;

async fn answer(world: &World, officer: &Officer, query: &[(&str, &str)]) -> Value {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    world.get(&format!("/v1/records?order=oldest&{query}")).officer(officer).send().await.json(200)
}

async fn found(world: &World, officer: &Officer, query: &[(&str, &str)]) -> Vec<RecordId> {
    let answer = answer(world, officer, query).await;
    answer["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap().parse().unwrap()).collect()
}

async fn say(world: &World, text: &str) -> RecordId {
    keep(&world.test, &[advisor(1)], &[], &[("0.text", text.as_bytes())]).await.id()
}

#[tokio::test]
async fn inflected_words_of_four_languages_find_each_other_with_and_without_diacritics() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let english = say(&world, "We guaranteed the returns to nobody").await;
    let russian = say(&world, "Мы не даём гарантии доходности").await;
    let czech = say(&world, "Žádné záruky, jen příběhy o výnosech").await;
    let polish = say(&world, "Żadnych gwarancji ani inwestycji w złoto").await;
    world.project().await;
    for (words, expected) in [
        ("guarantee", vec![english]),
        ("RETURN guarantees", vec![english]),
        ("гарантия", vec![russian]),
        ("доходность", vec![russian]),
        ("záruka", vec![czech]),
        ("zaruka", vec![czech]),
        ("výnosy", vec![czech]),
        ("gwarancja", vec![polish]),
        ("inwestycje", vec![polish]),
        ("zloto", vec![polish]),
        ("guarantee or гарантия or záruka or gwarancja", vec![english, russian, czech, polish]),
        // A quote means phrase, of the words as they are.
        ("\"guaranteed the returns\"", vec![english]),
        ("\"guarantee the return\"", vec![]),
        ("\"returns guaranteed\"", vec![]),
        ("\"zadne zaruky\"", vec![czech]),
        ("gwar*", vec![polish]),
        ("guarantee -nobody", vec![]),
    ] {
        assert_eq!(found(&world, &officer, &[("words", words)]).await, expected, "{words}");
    }
    for (words, expected) in [("záruky", vec![czech]), ("zaruky", vec![]), ("záruka", vec![]), ("złoto", vec![polish])]
    {
        assert_eq!(found(&world, &officer, &[("words", words), ("diacritics", "exact")]).await, expected, "{words}");
    }
}

#[tokio::test]
async fn handles_links_and_any_characters_are_found_and_what_nobody_sees_hides_nothing() {
    let world = World::new().await;
    let officer = world.officer(&["legal"]).await;
    let handle = say(&world, "Ask @anna.bank.example about https://example.com/fund?id=7&x=1").await;
    let hidden = say(&world, "guar\u{200b}an\u{ad}teed 12% p.a.").await;
    let attached = keep(
        &world.test,
        &[advisor(1)],
        &[("attachments", json!(1))],
        &[
            ("0.text", b"see below"),
            ("0.attachments", r#"[{"name":"Výroční zpráva.pdf","description":"profit table"}]"#.as_bytes()),
        ],
    )
    .await
    .id();
    world.project().await;
    for (name, value, expected) in [
        ("words", "@anna.bank.example", vec![handle]),
        ("words", "anna", vec![handle]),
        ("words", "example.com/fund", vec![handle]),
        ("words", "https://example.com/fund?id=7", vec![handle]),
        ("words", "fund/example.com", vec![]),
        ("words", "guarantee", vec![hidden]),
        ("text", "?ID=7&", vec![handle]),
        ("text", "nna.ban", vec![handle]),
        ("text", "ranteed 12%", vec![hidden]),
        ("text", "_", vec![]),
        ("text", "vyrocni", vec![attached]),
        ("words", "tables profits", vec![attached]),
        // Neither begins in the text and ends in the attachment.
        ("words", "\"below výroční\"", vec![]),
    ] {
        assert_eq!(found(&world, &officer, &[(name, value)]).await, expected, "{name}={value}");
    }
    let exact = |text| [("text", text), ("diacritics", "exact")];
    assert_eq!(found(&world, &officer, &exact("výroční")).await, [attached]);
    assert!(found(&world, &officer, &exact("vyrocni")).await.is_empty());
}

#[tokio::test]
async fn explain_says_where_and_how_and_relevance_puts_the_best_first() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    let far = say(&world, "returns of many kinds are spoken of here, and at the very end something guaranteed").await;
    let near = say(&world, "Guaranteed returns! Really guaranteed returns.").await;
    say(&world, "nothing of the kind").await;
    world.project().await;
    let query = [("words", "guarantee returns"), ("explain", "true")];
    let answered = answer(&world, &officer, &query).await;
    assert_eq!(answered["records"][0]["id"], far.to_string());
    assert_eq!(
        answered["records"][0]["matches"],
        json!([
            { "communication": 0, "within": "text", "term": "guarantee", "found": "guaranteed", "at": 72, "how": "inflected", "language": "en" },
            { "communication": 0, "within": "text", "term": "returns", "found": "returns", "at": 0, "how": "same" },
        ])
    );
    let best = [("words", "guarantee returns"), ("sort", "relevance"), ("limit", "1")];
    let answered = answer(&world, &officer, &best).await;
    assert_eq!(answered["records"][0]["id"], near.to_string());
    assert_eq!((&answered["next"], answered["records"][0].get("matches")), (&Value::Null, None));
    assert_eq!(answered["ranked_from"], Value::Null, "all that fit were ranked");
    assert_eq!(found(&world, &officer, &[("words", "guarantee returns"), ("sort", "ledger")]).await, [far, near]);
}

#[tokio::test]
async fn a_search_that_means_nothing_is_refused_with_what_to_write() {
    let world = World::new().await;
    let officer = world.officer(&["compliance"]).await;
    for (query, why) in [
        ("words=%21%3F", "holds no word"),
        ("words=-returns", "only what shall not"),
        ("words=%22open", "does not close"),
        ("words=or+a", "put the word"),
        ("explain=true", "means nothing without"),
        ("diacritics=exact", "means nothing without"),
        ("diacritics=some&text=a", "`folded` or `exact`"),
        ("sort=relevance&text=a", "about `words`"),
        ("sort=relevance&words=a&after=7", "one page"),
    ] {
        let refused = world.get(&format!("/v1/records?{query}")).officer(&officer).send().await.json(400);
        assert!(refused["detail"].as_str().unwrap().contains(why), "{query}: {refused}");
    }
}
