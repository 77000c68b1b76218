//! The protocol: what is cosigned, what is refused and how, and what a witness remembers.

use std::time::Duration;

use muniment::ledger::{Note, SigningKey};
use muniment::record::Digest;

use super::log::Log;
use super::{Home, muniment};

#[test]
fn what_continues_the_last_checkpoint_is_cosigned_and_served() {
    let log = Log::new("log.example/a", 100, 0);
    let home = Home::new("witness.example/w1", &[log.key()]);
    let witness = home.start();
    let place = format!("/{}/checkpoint", Digest::of(&[b"log.example/a"]));
    assert_eq!(witness.get(&place).status, 404, "nothing was cosigned yet");
    let mut times = Vec::new();
    for (old, new) in [(0, 3), (3, 3), (3, 64), (64, 65), (65, 100)] {
        times.push(home.check(&log, new, &witness.add(&log, old, new)));
    }
    assert!(times.is_sorted());
    let served = witness.get(&place);
    assert_eq!(served.status, 200);
    let note = Note::parse(served.body.as_bytes()).unwrap();
    assert_eq!(note.verify(&[log.key().clone(), home.key.clone()]).unwrap().len(), 2);
    assert!(served.body.starts_with(log.checkpoint(100).split_once("\n\n").unwrap().0));
    assert_eq!(witness.get("/health").status, 200);
}

#[test]
fn each_refusal_has_the_status_that_the_protocol_gives_it() {
    let (log, fork) = (Log::new("log.example/a", 100, 0), Log::new("log.example/a", 10, 1));
    let home = Home::new("witness.example/w1", &[log.key()]);
    let witness = home.start();
    home.check(&log, 20, &witness.add(&log, 0, 20));
    let status = |body: &str| witness.post(body).status;

    assert_eq!(status("nonsense"), 400);
    assert_eq!(status(""), 400);
    assert_eq!(status(&log.request(30, 20)), 400, "an old size above the new one");
    let key = SigningKey::new("log.example/a", &[5; 32]).unwrap();
    let no_checkpoint = Note::sign("hello\n", &[&key]).unwrap();
    assert_eq!(status(&format!("old 20\n\n{no_checkpoint}")), 400);
    assert_eq!(status(&Log::new("log.example/b", 100, 0).request(0, 20)), 404, "a log nobody watches");
    let signature = log.checkpoint(30).lines().last().unwrap().to_owned();
    let unsigned = log.request(20, 30).replace(&signature, log.checkpoint(31).lines().last().unwrap());
    assert_eq!(status(&unsigned), 403, "a signature of the log over something else");
    let stranger = log.request(20, 30).replace("— log.example/a", "— stranger.example");
    assert_eq!(status(&stranger), 403, "no signature of the log");

    let conflict = witness.add(&log, 10, 30);
    assert_eq!((conflict.status, conflict.body.as_str()), (409, "20\n"));
    assert!(conflict.head.contains("content-type: text/x.tlog.size"), "{}", conflict.head);
    assert_eq!(witness.add(&log, 0, 10).body, "20\n", "a rollback is answered with what is known");

    assert_eq!(witness.add(&fork, 20, 30).status, 422, "a fork");
    assert_eq!(witness.add(&fork, 20, 20).status, 422, "another root of the same size");
    assert_eq!(
        status(&log.request(20, 30).replacen("old 20\n", "old 20\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 1)),
        422
    );
    let of = |kind: &str| {
        let files = std::fs::read_dir(home.dir.path().join("evidence")).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.extension().unwrap() == kind).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("fork").len(), of("unproved").len()),
        (1, 2),
        "what the log signed against itself, and what nobody showed to fit"
    );
    let kept = std::fs::read_to_string(&of("fork")[0]).unwrap();
    assert!(
        kept.contains(&fork.checkpoint(20)) && kept.contains(log.checkpoint(20).lines().nth(2).unwrap()),
        "both roots: {kept}"
    );
    // A stranger's proofs make no more of it.
    for junk in ["BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=", "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCA="] {
        assert_eq!(status(&log.request(20, 30).replacen("old 20\n", &format!("old 20\n{junk}\n"), 1)), 422);
    }
    assert_eq!(of("unproved").len(), 2);
    assert_eq!(status(&"x".repeat(70_000)), 413);
    assert_eq!(witness.get("/add-checkpoint").status, 405);
    // None of it moved the witness.
    home.check(&log, 30, &witness.add(&log, 20, 30));
}

#[test]
fn several_logs_and_a_second_key_of_one_are_watched_apart() {
    let (a, b) = (Log::new("log.example/a", 100, 0), Log::new("log.example/b", 100, 0));
    let home = Home::new("witness.example/w1", &[a.key()]);
    let witness = home.start();
    home.check(&a, 5, &witness.add(&a, 0, 5));
    assert_eq!(witness.add(&b, 0, 5).status, 404);
    witness.kill();
    home.watch(&[b.key(), a.key()]);
    let witness = home.start();
    home.check(&b, 7, &witness.add(&b, 0, 7));
    home.check(&a, 9, &witness.add(&a, 5, 9));
    assert_eq!(witness.add(&a, 7, 9).body, "9\n");
}

#[test]
fn a_witness_without_its_state_does_not_start() {
    let log = Log::new("log.example/a", 100, 0);
    let home = Home::new("witness.example/w1", &[log.key()]);
    let witness = home.start();
    home.check(&log, 5, &witness.add(&log, 0, 5));
    assert!(home.refusal().contains("another process works as this witness"));
    witness.kill();
    let state = home.dir.path().join("witness.state");
    let kept = std::fs::read(&state).unwrap();
    std::fs::remove_file(&state).unwrap();
    assert!(home.refusal().contains("could be led to cosign a fork"));
    let init = ["witness", "init", "--name", "witness.example/w1", "witness.toml"];
    let again = muniment(&init, home.dir.path()).output().unwrap();
    assert!(!again.status.success() && !state.exists(), "init does not make a state for a key that may have cosigned");
    std::fs::write(&state, &kept[..kept.len() / 2]).unwrap();
    assert!(home.refusal().contains("is not what this witness wrote"));
    std::fs::write(&state, &kept).unwrap();
    assert_eq!(home.start().add(&log, 0, 5).body, "5\n");
    let key = muniment(&["witness", "key", "witness.toml"], home.dir.path()).output().unwrap();
    assert_eq!(String::from_utf8(key.stdout).unwrap().trim(), home.key.to_string());
}

#[test]
fn a_disk_that_takes_nothing_gets_no_cosignature() {
    let log = Log::new("log.example/a", 100, 0);
    let home = Home::new("witness.example/w1", &[log.key()]);
    let witness = home.start();
    home.check(&log, 5, &witness.add(&log, 0, 5));
    // Nothing can be put in the place of the file.
    let (file, away) = (home.dir.path().join("witness.state"), home.dir.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    let answer = witness.add(&log, 5, 9);
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(witness.add(&log, 9, 9).body, "5\n");
    home.check(&log, 9, &witness.add(&log, 5, 9));
}

#[test]
fn of_many_who_ask_at_once_each_gets_an_answer_and_one_history_is_cosigned() {
    let sides = [0, 1].map(|side| Log::new("log.example/a", 10, side));
    let home = Home::new("witness.example/w1", &[sides[0].key()]);
    let witness = home.start();
    home.check(&sides[0], 10, &witness.add(&sides[0], 0, 10));
    let granted: Vec<(usize, u64)> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..16)
            .map(|n| {
                let (side, size) = (n % 2, 11 + n as u64 / 2);
                let (sides, witness, home) = (&sides, &witness, &home);
                scope.spawn(move || {
                    let answer = witness.add(&sides[side], 10, size);
                    assert!(matches!(answer.status, 200 | 409), "{answer:?}");
                    (answer.status == 200).then(|| {
                        home.check(&sides[side], size, &answer);
                        (side, size)
                    })
                })
            })
            .collect();
        asks.into_iter().filter_map(|ask| ask.join().unwrap()).collect()
    });
    assert_eq!(granted.len(), 1, "each said that it continues 10 entries: {granted:?}");
}

#[test]
fn somebody_who_sends_nothing_is_not_waited_for() {
    use std::io::{Read as _, Write as _};
    let log = Log::new("log.example/a", 100, 0);
    let home = Home::new("witness.example/w1", &[log.key()]);
    let witness = home.start();
    let mut slow = std::net::TcpStream::connect(witness.address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    slow.write_all(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 100\r\n\r\nold ").unwrap();
    home.check(&log, 5, &witness.add(&log, 0, 5));
    let mut answer = Vec::new();
    let _cut = slow.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(!answer.contains(" 200 "), "{answer}");
}
