//! Where a question begins never changes its answer, whatever the database believes about the words.

use muniment::archive::{Facets, RecordFilter, RecordRow, Slice, WordQuery};
use muniment::record::Timestamp;

use crate::support::archive::{TestArchive, master};
use crate::support::large::{Firm, fill};
use crate::support::postgres::Database;

/// What the database may believe to be the number of communications, and what follows: few words look frequent then, or all do.
const BELIEFS: [(&str, f32); 3] = [("frequent", 1.0), ("rare", 1e12), ("unknown", -1.0)];

async fn believe(test: &TestArchive, size: f32) {
    let text = format!("update pg_class set reltuples = {size} where oid = 'projection.communications'::regclass");
    test.database.tamper(&text).await;
}

fn words(typed: &str) -> RecordFilter {
    RecordFilter { words: Some(WordQuery::parse(typed, false).unwrap()), ..RecordFilter::default() }
}

/// Every page of a question, and what is counted.
async fn all_of(test: &TestArchive, filter: &RecordFilter, slice: Slice) -> (Vec<RecordRow>, Facets) {
    let (mut slice, mut rows) = (slice, Vec::new());
    loop {
        let page = test.archive.records(filter, slice).await.unwrap();
        let is_last = page.len() < slice.limit as usize || filter.by_relevance;
        slice.after = page.last().map(|row| row.index);
        rows.extend(page);
        if is_last {
            return (rows, test.archive.facets(filter).await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_is_found_in_the_same_order_wherever_a_question_begins() {
    let firm = Firm { advisors: 5, ..Firm::large(1_200) };
    let database = Database::fresh().await;
    let size = fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    test.database.tamper("alter table projection.communications set (autovacuum_enabled = off)").await;

    let one = || words("zanzibar");
    let text = |text: &str| Some(text.to_owned());
    let at = |number| Timestamp::from_unix_micros(firm.at(number)).ok();
    let client = (0..firm.records).find_map(|number| firm.spec(number).client).unwrap();
    let recipient = || RecordFilter { recipient: Some(format!("client{client}.example")), ..RecordFilter::default() };
    let long = (0..25).map(|number| format!("word{number} or zx81")).collect::<Vec<_>>().join(" or ");
    let mut filters = vec![recipient(), RecordFilter { words: one().words, ..recipient() }];
    for typed in
        ["zanzibar", "market", "market fund", "\"quiet harbour\"", "market -fund", "z*", "nowhere", long.as_str()]
    {
        filters.push(words(typed));
        filters.push(RecordFilter { as_of: Some(size / 2), ..words(typed) });
        filters.push(RecordFilter { advisor: Some(firm.advisor(1)), ..words(typed) });
        filters.push(RecordFilter { advisor: Some(firm.advisor(2)), as_of: Some(size / 3), ..words(typed) });
        filters.push(RecordFilter { since: at(200), until: at(900), kind: text("message"), ..words(typed) });
        filters.push(RecordFilter { text: text("et"), state: text("accepted"), ..words(typed) });
        filters.push(RecordFilter { by_relevance: true, ..words(typed) });
    }
    let mut found = 0;
    for filter in &filters {
        for (newest_first, limit, after) in [(true, 3, None), (false, 7, Some(500)), (true, 200, Some(size - 300))] {
            let limit = if filter.by_relevance { 500 } else { limit };
            let slice = Slice { after, newest_first, limit };
            let mut answers = Vec::new();
            for (name, belief) in BELIEFS {
                believe(&test, belief).await;
                answers.push((name, all_of(&test, filter, slice).await));
            }
            let (_, first) = &answers[0];
            for (name, other) in &answers[1..] {
                assert_eq!(first, other, "{name}: {filter:?} {slice:?}");
            }
            let in_order =
                first.0.is_sorted_by(|a, b| if newest_first { a.index > b.index } else { a.index < b.index });
            assert!(in_order || filter.by_relevance, "{filter:?} {slice:?}");
            found += first.0.len();
            // An export goes through the same in runs of places.
            if !newest_first && !filter.by_relevance {
                let mut exported = Vec::new();
                for from in (501..size).step_by(1_000) {
                    let within = test.archive.records_within(filter, from..(from + 1_000).min(size), 1_000).await;
                    exported.extend(within.unwrap());
                }
                assert_eq!(exported, first.0, "{filter:?}");
            }
        }
    }
    assert!(found > 5_000, "only {found}");
    let (twenty, counted) = all_of(&test, &one(), Slice { after: None, newest_first: true, limit: 500 }).await;
    let meant = (0..firm.records).filter(|number| firm.text(*number).contains("zanzibar"));
    let spoken = meant.filter(|number| firm.spec(*number).kind != "reaction").count();
    assert_eq!((twenty.len(), counted.total), (spoken, spoken as u64));
}

#[tokio::test]
async fn words_that_are_not_few_after_all_are_found_by_walking() {
    let firm = Firm { advisors: 2, ..Firm::large(60) };
    let database = Database::fresh().await;
    fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    // More of them than are read by the index.
    test.database
        .tamper(
            "insert into projection.communications (record, entry_index, number, kind, direction, words)
             select r.record, r.entry_index, 100 + n, 'post', 'outbound', 'eanywhere:1'
               from (select record, entry_index from projection.records order by entry_index limit 3) r, generate_series(1, 4000) n",
        )
        .await;
    for (_, belief) in BELIEFS {
        believe(&test, belief).await;
        let (rows, counted) =
            all_of(&test, &words("anywhere"), Slice { after: None, newest_first: true, limit: 2 }).await;
        assert_eq!((rows.len(), counted.total), (3, 3), "each record once");
    }
}
