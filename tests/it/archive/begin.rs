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
    let firm = Firm { advisors: 5, ..Firm::large(700) };
    let database = Database::fresh().await;
    let size = fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    test.database.tamper("alter table projection.communications set (autovacuum_enabled = off)").await;

    let one = || words("zanzibar");
    let text = |text: &str| Some(text.to_owned());
    let at = |number| Timestamp::from_unix_micros(firm.at(number)).ok();
    let sent =
        (0..firm.records).map(|number| firm.spec(number)).find(|spec| spec.outbound && spec.client.is_some()).unwrap();
    let (client, account) = (sent.client.unwrap(), Some(firm.account(sent.advisor, sent.network)));
    let recipient = || RecordFilter { recipient: Some(format!("client{client}.example")), ..RecordFilter::default() };
    let long = (0..25).map(|number| format!("word{number} or zx81")).collect::<Vec<_>>().join(" or ");
    let mut filters = vec![
        recipient(),
        RecordFilter { account, ..recipient() },
        RecordFilter { account, ..words("market") },
        RecordFilter { words: one().words, ..recipient() },
    ];
    for typed in
        ["zanzibar", "market", "market fund", "\"quiet harbour\"", "market -fund", "z*", "nowhere", long.as_str()]
    {
        filters.push(words(typed));
        filters.push(RecordFilter { as_of: Some(size / 2), ..words(typed) });
        filters.push(RecordFilter { advisor: Some(firm.advisor(1)), ..words(typed) });
        filters.push(RecordFilter { advisor: Some(firm.advisor(2)), as_of: Some(size / 3), ..words(typed) });
        filters.push(RecordFilter { since: at(100), until: at(600), kind: text("message"), ..words(typed) });
        filters.push(RecordFilter { text: text("et"), state: text("accepted"), ..words(typed) });
        filters.push(RecordFilter { by_relevance: true, ..words(typed) });
    }
    let mut found = 0;
    for filter in &filters {
        for (newest_first, limit, after) in [(true, 3, None), (false, 7, Some(500)), (true, 200, Some(size - 200))] {
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
    assert!(found > 2_000, "only {found}");
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

#[tokio::test]
async fn the_best_matches_are_the_best_of_the_newest_ten_thousand_and_the_answer_says_so() {
    let firm = Firm { advisors: 2, ..Firm::large(20) };
    let database = Database::fresh().await;
    fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    let best = RecordFilter { by_relevance: true, ..words("anywhere") };
    let few = Slice { after: None, newest_first: true, limit: 5 };
    // The oldest record of all is the best match.
    test.database
        .tamper(
            "update projection.communications set words = 'eanywhere:1,2,3,4,5'
              where record = (select record from projection.communications where kind <> 'reaction' order by entry_index limit 1)",
        )
        .await;
    let (rows, ranked_from) = test.archive.best_records(&best, few).await.unwrap();
    assert_eq!((rows.len(), ranked_from), (1, None));
    let more = |count: u32, from: u64| {
        format!(
            "insert into projection.records
             select (jsonb_populate_record(null::projection.records, to_jsonb(r) || jsonb_build_object(
                        'record', gen_random_uuid(), 'entry', gen_random_uuid(), 'entry_index', {from} + n, 'last_index', {from} + n))).*
               from (select * from projection.records limit 1) r, generate_series(0, {count} - 1) n;
             insert into projection.communications (record, entry_index, number, kind, direction, words)
             select record, entry_index, 0, 'post', 'outbound', 'eanywhere:1' from projection.records where entry_index >= {from}"
        )
    };
    test.database.tamper(&more(9_999, 100_000)).await;
    for (_, belief) in BELIEFS {
        believe(&test, belief).await;
        let (ranked, ranked_from) = test.archive.best_records(&best, few).await.unwrap();
        assert_eq!((ranked[0].index, ranked_from), (rows[0].index, None), "ten thousand are all ranked");
    }
    test.database.tamper(&more(1, 200_000)).await;
    for (_, belief) in BELIEFS {
        believe(&test, belief).await;
        let (ranked, ranked_from) = test.archive.best_records(&best, few).await.unwrap();
        assert_eq!((ranked[0].index, ranked_from), (200_000, Some(100_000)), "the oldest is not ranked any more");
    }
}

#[tokio::test]
async fn an_index_that_takes_too_long_to_look_into_is_let_be_and_the_same_is_found() {
    let firm = Firm { advisors: 2, ..Firm::large(60) };
    let database = Database::fresh().await;
    fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.archive.catch_up().await.unwrap();
    let [(_, _frequent), (_, rare), _] = BELIEFS;
    believe(&test, rare).await;
    let slice = Slice { after: None, newest_first: true, limit: 500 };
    let before = all_of(&test, &words("market"), slice).await;
    assert!(!before.0.is_empty());
    // A minute for each row, for whoever looks into the index and for nobody else: longer than any statement may take.
    test.database
        .tamper(
            "alter table projection.communications enable row level security;
             create policy slow on projection.communications for select using
                 (case current_setting('enable_seqscan') when 'off' then pg_sleep(60)::text is not null else true end)",
        )
        .await;
    assert_eq!(all_of(&test, &words("market"), slice).await, before);
}
