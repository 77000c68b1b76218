//! The log's side: checkpoints go to witnesses, cosignatures come back, and what contradicts us is loud.

use std::sync::Arc;
use std::time::Duration;

use muniment::archive::{Append as _, Published};
use muniment::ledger::{EntryType, Note, SigningKey, VerifyingKey};
use muniment::record::Digest;
use muniment::settings;
use muniment::telemetry::Metrics;
use muniment::witness::{Feed, Quorum};
use tokio_util::sync::CancellationToken;

use super::{Home, Running};
use crate::support::archive::{ORIGIN, TestArchive, signing};
use crate::support::sound::assert_sound;
use crate::support::submissions::{advisor, post};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn upstream() -> settings::Upstream {
    settings::Upstream {
        extra_roots: Vec::new(),
        resolve: std::collections::BTreeMap::new(),
        proxy: None,
        proxy_login: None,
        allow_networks: Vec::new(),
        ports: vec![443],
        connect_timeout: Duration::from_secs(2),
    }
}

pub(crate) fn witnessing(witnesses: &[(&VerifyingKey, String)], quorum: &str) -> settings::Witnessing {
    let witness = |(key, url): &(&VerifyingKey, String)| settings::Witness {
        vkey: key.to_string(),
        url: url.clone(),
        timeout: Duration::from_secs(5),
    };
    settings::Witnessing {
        every: Duration::from_millis(100),
        quorum: quorum.to_owned(),
        policy: None,
        wait: Duration::from_secs(20),
        witnesses: witnesses.iter().map(witness).collect(),
    }
}

/// A feed that runs, until it is dropped.
pub(crate) struct Fed {
    pub(crate) feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Fed {
    pub(crate) fn new(test: &TestArchive, settings: &settings::Witnessing) -> Self {
        let quorum = Arc::new(Quorum::new(settings, signing().verifying_key()).unwrap().unwrap());
        let metrics = Arc::new(Metrics::new());
        let clock = Arc::clone(&test.clock) as Arc<_>;
        let feed = Feed::new(test.archive.clone(), quorum, &upstream(), clock, Arc::clone(&metrics)).unwrap();
        Self { feed: Arc::new(feed), metrics, stop: CancellationToken::new() }
    }

    pub(crate) fn run(self) -> Self {
        tokio::spawn(Arc::clone(&self.feed).run(self.stop.clone()));
        self
    }

    fn metric(&self, line: &str) -> bool {
        use muniment::record::Clock as _;
        self.metrics.encode(muniment::app::SystemClock.now()).unwrap().contains(line)
    }

    /// Waits until the metrics have a line.
    async fn until(&self, line: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.metric(line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no line `{line}`"));
    }

    async fn witnessed(&self, test: &TestArchive, size: u64) -> Published {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let witnessed = test.archive.witnessed(&self.feed.quorum().policy, size).await.unwrap();
                if let Some(witnessed) = witnessed {
                    return witnessed.published;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        waited.await.expect("the quorum is not met")
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn url(witness: &Running) -> String {
    format!("http://{}", witness.address)
}

pub(crate) async fn publish(test: &TestArchive, posts: u32) -> Published {
    for n in 0..posts {
        test.archive.append(post(test, advisor(1), &format!("post {n}"))).await.unwrap();
    }
    test.archive.publish(false).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_checkpoint_is_cosigned_kept_and_anchored_and_an_anchor_makes_no_new_one() {
    let test = TestArchive::new().await;
    let home = Home::new("witness.example/w1", &[signing().verifying_key()]);
    let witness = home.start();
    let fed = Fed::new(&test, &witnessing(&[(&home.key, url(&witness))], "all")).run();
    let mut sizes = Vec::new();
    for posts in [3, 1, 300] {
        let published = publish(&test, posts).await;
        let cosigned = fed.witnessed(&test, published.checkpoint.size).await;
        assert_eq!(cosigned.checkpoint, published.checkpoint);
        let note = Note::parse(cosigned.note.as_bytes()).unwrap();
        assert_eq!(note.verify(&[signing().verifying_key().clone(), home.key.clone()]).unwrap().len(), 2);
        sizes.push((published.checkpoint.size, Digest::of(&[cosigned.note.as_bytes()])));
        // The anchor stands in the ledger before the next checkpoint is asked for.
        tokio::time::timeout(PATIENCE, async {
            while test.archive.head_size().await.unwrap() == published.checkpoint.size {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
        assert_eq!(test.archive.publish(false).await.unwrap().unwrap(), published, "an anchor alone is nothing new");
    }
    let entries = assert_sound(&test).await;
    let anchors = entries.iter().filter(|entry| entry.entry_type() == EntryType::Anchor);
    let named: Vec<_> = anchors
        .map(|entry| {
            assert_eq!(entry.detail()["by"], "witness");
            let evidence = entry.detail()["evidence"].as_str().unwrap().parse().unwrap();
            (entry.detail()["size"].as_u64().unwrap(), evidence)
        })
        .collect();
    assert_eq!(named, sizes, "each anchor names the digest of the note that was kept");
    fed.until("witnessed_size 307").await;
    fed.until(&format!("witness_behind{{key=\"{}\"}} 0", home.key.id())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_does_not_wait_for_a_witness_that_is_away_and_it_catches_up_when_it_is_back() {
    let test = TestArchive::new().await;
    let (here, away) = (
        Home::new("here.example", &[signing().verifying_key()]),
        Home::new("away.example", &[signing().verifying_key()]),
    );
    let (up, down) = (here.start(), away.start());
    let place = down.address;
    down.kill();
    let wanted = [(&here.key, url(&up)), (&away.key, format!("http://{place}"))];
    let fed = Fed::new(&test, &witnessing(&wanted, "any")).run();
    let first = publish(&test, 2).await;
    fed.witnessed(&test, first.checkpoint.size).await;
    fed.until("witness_asked_total{reason=\"upstream_unreachable\"}").await;
    fed.until(&format!("witness_behind{{key=\"{}\"}} {}", away.key.id(), first.checkpoint.size)).await;

    let text = std::fs::read_to_string(away.dir.path().join("witness.toml")).unwrap();
    std::fs::write(away.dir.path().join("witness.toml"), text.replace("127.0.0.1:0", &place.to_string())).unwrap();
    let _back = away.start();
    let second = publish(&test, 2).await;
    fed.until(&format!("witness_behind{{key=\"{}\"}} 0", away.key.id())).await;
    let cosigned = test.archive.cosigned(&second).await.unwrap();
    assert_eq!(Note::parse(cosigned.note.as_bytes()).unwrap().signatures().len(), 3, "the log, here and away");
    // Another process begins where this one ended, without being told.
    let sizes = test.archive.cosigned_by().await.unwrap();
    assert!(sizes.values().all(|size| *size == second.checkpoint.size), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_of_two_is_met_by_two_and_not_by_one() {
    let test = TestArchive::new().await;
    let homes = ["a.example", "b.example", "c.example"].map(|name| Home::new(name, &[signing().verifying_key()]));
    let witness = homes[0].start();
    let nobody = "http://127.0.0.1:1".to_owned();
    let one = [(&homes[0].key, url(&witness)), (&homes[1].key, nobody.clone()), (&homes[2].key, nobody.clone())];
    let mut settings = witnessing(&one, "2");
    settings.wait = Duration::from_secs(2);
    let fed = Fed::new(&test, &settings);
    let published = publish(&test, 5).await;
    assert_eq!(fed.feed.vouched(published.checkpoint.size).await.unwrap(), None);
    let cosigned = test.archive.cosigned(&published).await.unwrap();
    assert_eq!(Note::parse(cosigned.note.as_bytes()).unwrap().signatures().len(), 2, "one cosigned, and that is kept");

    let second = homes[2].start();
    let two = [one[0].clone(), one[1].clone(), (&homes[2].key, url(&second))];
    let fed = Fed::new(&test, &witnessing(&two, "2"));
    let witnessed = fed.feed.vouched(published.checkpoint.size).await.unwrap().unwrap();
    assert_eq!(witnessed.published.checkpoint, published.checkpoint);
    assert_eq!(witnessed.vouched.len(), 3, "the log and two witnesses");
    assert_eq!(assert_sound(&test).await.iter().filter(|entry| entry.entry_type() == EntryType::Anchor).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_knows_more_than_we_do_or_another_history_is_loud() {
    let test = TestArchive::new().await;
    let home = Home::new("witness.example/w1", &[signing().verifying_key()]);
    let witness = home.start();
    // Somebody with the log's key has shown the witness another history: a database that was put back looks like this.
    let other = super::log::Log::with(SigningKey::new(ORIGIN, &[9; 32]).unwrap());
    home.check(&other, 50, &witness.add(&other, 0, 50));
    let fed = Fed::new(&test, &witnessing(&[(&home.key, url(&witness))], "all")).run();
    publish(&test, 3).await;
    fed.until("witness_alarms_total{cause=\"ahead_of_us\"}").await;
    // Grown beyond what the witness knows, and still not its continuation: found when it is asked again.
    publish(&test, 100).await;
    fed.until("witness_alarms_total{cause=\"inconsistent\"}").await;
    assert_eq!(test.archive.witnessed(&fed.feed.quorum().policy, 0).await.unwrap(), None);
    assert!(home.dir.path().join("evidence").exists(), "the witness keeps what proves it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cosignature_by_another_key_or_of_another_time_is_not_kept() {
    let test = TestArchive::new().await;
    let (home, other) =
        (Home::new("witness.example/w1", &[signing().verifying_key()]), Home::new("other.example", &[]));
    let witness = home.start();
    let fed = Fed::new(&test, &witnessing(&[(&other.key, url(&witness))], "all")).run();
    let published = publish(&test, 3).await;
    fed.until("witness_asked_total{reason=\"other_key\"}").await;
    assert_eq!(test.archive.cosigned(&published).await.unwrap(), published);
    // Our clock, or the witness's, is an hour off.
    test.clock.step_back(Duration::from_secs(3_600));
    let fed = Fed::new(&test, &witnessing(&[(&home.key, url(&witness))], "all"));
    let mut settings = witnessing(&[(&home.key, url(&witness))], "all");
    settings.wait = Duration::from_secs(1);
    let quick = Fed::new(&test, &settings);
    assert_eq!(quick.feed.vouched(published.checkpoint.size).await.unwrap(), None);
    assert!(quick.metric("witness_asked_total{reason=\"wrong_time\"}"));
    drop(fed);
    assert_eq!(test.archive.cosigned(&published).await.unwrap(), published);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_a_crash_left_without_its_anchor_is_anchored_once() {
    let test = TestArchive::new().await;
    let published = publish(&test, 3).await;
    let key = muniment::ledger::CosigningKey::new("w.example", &[1; 32]).unwrap();
    let mut note = Note::parse(published.note.as_bytes()).unwrap();
    note.add(key.cosign(note.text(), 1_700_000_000).unwrap());
    // As the crash left it.
    let mut connection = test.database.superuser().await;
    sqlx::query("insert into ledger.cosigned (size, cosignatures, note, at) values ($1, 1, $2, now())")
        .bind(i64::try_from(published.checkpoint.size).unwrap())
        .bind(note.to_string())
        .execute(&mut connection)
        .await
        .unwrap();
    for _start in 0..3 {
        test.archive.anchor_cosigned().await.unwrap();
    }
    let entries = assert_sound(&test).await;
    let anchors: Vec<_> = entries.iter().filter(|entry| entry.entry_type() == EntryType::Anchor).collect();
    assert_eq!(anchors.len(), 1);
    assert_eq!(anchors[0].detail()["evidence"], Digest::of(&[note.to_string().as_bytes()]).to_string());
}

#[tokio::test]
async fn what_was_kept_cannot_be_changed_and_a_note_of_somebody_else_is_not_believed() {
    let test = TestArchive::new().await;
    let published = publish(&test, 3).await;
    let key = muniment::ledger::CosigningKey::new("w.example", &[1; 32]).unwrap();
    let line = key.cosign(Note::parse(published.note.as_bytes()).unwrap().text(), 1_700_000_000).unwrap();
    let kept = test.archive.keep_cosignatures(&published, std::slice::from_ref(&line)).await.unwrap();
    assert_eq!(test.archive.keep_cosignatures(&published, &[line]).await.unwrap(), kept, "twice is once");
    let size = published.checkpoint.size;
    for statement in
        ["update ledger.cosigned set note = 'x'", "delete from ledger.cosigned", "truncate ledger.cosigned"]
    {
        let mut connection = test.database.superuser().await;
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await;
        assert!(refused.is_err(), "{statement}");
    }
    // Whoever has the role can add a row, and nobody takes it for a checkpoint of ours.
    let forged = published.note.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1);
    let mut connection = test.database.superuser().await;
    sqlx::query("insert into ledger.cosigned (size, cosignatures, note, at) values ($1, 9, $2, now())")
        .bind(i64::try_from(size).unwrap())
        .bind(&forged)
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(test.archive.cosigned(&published).await.is_err());
    let found = crate::support::sound::verify(&test).await.0;
    assert!(found.iter().any(|finding| finding.check == "checkpoints"), "{found:?}");
}

#[test]
fn what_settings_say_of_witnesses_is_a_policy_and_what_cannot_be_meant_is_refused() {
    let log = signing();
    let keys: Vec<VerifyingKey> = (1..=3)
        .map(|n| {
            muniment::ledger::CosigningKey::new(&format!("w{n}.example"), &[n; 32]).unwrap().verifying_key().clone()
        })
        .collect();
    let all: Vec<_> = keys.iter().map(|key| (key, "https://w.example".to_owned())).collect();
    let quorum = |settings: &settings::Witnessing| Quorum::new(settings, log.verifying_key());
    for (wanted, line) in [("all", "all w1 w2 w3"), ("any", "any w1 w2 w3"), ("2", "2 w1 w2 w3")] {
        let made = quorum(&witnessing(&all, wanted)).unwrap().unwrap();
        assert!(made.text.contains(&format!("group witnesses {line}\nquorum witnesses\n")), "{}", made.text);
        assert_eq!(made.policy.witnesses(), keys);
        assert_eq!(made.policy.logs(), [log.verifying_key().clone()]);
    }
    assert!(quorum(&witnessing(&[], "all")).unwrap().is_none());
    for bad in ["0", "4", "most", "-1", ""] {
        assert!(quorum(&witnessing(&all, bad)).is_err(), "{bad}");
    }
    let twice = [all[0].clone(), all[0].clone()];
    assert!(quorum(&witnessing(&twice, "any")).is_err());
    assert!(quorum(&witnessing(&[(log.verifying_key(), "https://w.example".to_owned())], "any")).is_err());
    assert!(quorum(&witnessing(&[(&keys[0], "witness".to_owned())], "any")).is_err());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.txt");
    let with = |text: String| {
        std::fs::write(&path, text).unwrap();
        let mut settings = witnessing(&all, "all");
        settings.policy = Some(path.clone());
        quorum(&settings)
    };
    let text = format!("# ours\nwitness w {}\nquorum w\n", keys[0]);
    assert_eq!(
        with(text.clone()).unwrap().unwrap().text,
        text.replace("# ours\n", ""),
        "comments are nobody else's business"
    );
    let other = SigningKey::new("other.example", &[1; 32]).unwrap();
    let error = with(format!("log {}\nquorum none\n", other.verifying_key())).unwrap_err();
    assert!(error.to_string().contains("this one's key"), "{error}");
    assert!(with("nonsense\n".to_owned()).is_err());
}
