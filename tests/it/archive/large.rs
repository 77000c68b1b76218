//! An archive that is made at once, and not appended one by one: as sound as any other, so what holds over it holds.

use muniment::archive::RecordFilter;

use crate::support::archive::{TestArchive, master};
use crate::support::large::{Firm, fill, project};
use crate::support::postgres::Database;
use crate::support::sound::verify;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_made_at_once_is_sound_and_its_projections_are_what_was_meant() {
    let firm = Firm { advisors: 5, ..Firm::large(2_500) };
    let database = Database::fresh().await;
    let size = fill(&database.owner(), &master(), firm).await;
    let test = TestArchive::on(database, |options| options).await;
    test.count_runs_of(1_000).await;
    test.archive.catch_up().await.unwrap();
    test.archive.publish(true).await.unwrap();
    assert_eq!(test.archive.head_size().await.unwrap(), size + 1, "the service's source comes behind it");
    let (found, verification) = verify(&test).await;
    assert!(verification.sound && found.is_empty(), "{found:#?}");

    let all: Vec<_> = (0..firm.records).map(|number| firm.spec(number)).collect();
    let facets = test.archive.facets(&RecordFilter::default()).await.unwrap();
    assert_eq!(facets.total, firm.records);
    for counted in &facets.by["network"] {
        let meant = all.iter().filter(|spec| spec.network == counted.value).count();
        assert_eq!(counted.count, meant as u64, "{}", counted.value);
    }
    for counted in &facets.by["advisor"] {
        let meant = all.iter().filter(|spec| firm.advisor(spec.advisor).to_string() == counted.value).count();
        assert_eq!(counted.count, meant as u64, "{}", counted.value);
    }
    let accounts: u64 = facets.by["account"].iter().map(|counted| counted.count).sum();
    assert_eq!(accounts, firm.records, "every record is of an account of ours");
    for state in ["accepted", "refused", "unknown"] {
        let meant = all.iter().filter(|spec| spec.state == Some(state)).count();
        let counted = facets.by["outcome"].iter().find(|counted| counted.value == state).map_or(0, |found| found.count);
        assert_eq!(counted, meant as u64, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projections_that_were_repeated_in_bulk_are_what_the_program_makes() {
    let firm = Firm { advisors: 5, ..Firm::periodic(4, 2_300, 4_096) };
    let database = Database::fresh().await;
    let size = fill(&database.owner(), &master(), firm).await;
    assert_eq!(size, 5 * 4_096, "the people, and four periods");
    let test = TestArchive::on(database, |options| options).await;
    test.count_runs_of(4_096).await;
    project(&test.archive, &test.database.owner(), firm).await;
    test.archive.catch_up().await.unwrap();
    let compared = test.archive.compare_projections(|_, _| std::ops::ControlFlow::Continue(())).await.unwrap().unwrap();
    assert_eq!((&compared.differences[..], compared.entries), (&[][..], size + 1));
    assert_eq!(test.archive.facets(&RecordFilter::default()).await.unwrap().total, firm.records);
}
