//! `muniment witness audit` against the API: a whole log read by somebody who has nothing but a token.

use std::process::Output;

use muniment::archive::Append as _;
use muniment::ledger::{Attestation, Checkpoint};

use super::world::World;
use crate::support::archive::signing;
use crate::support::submissions::{advisor, gap, post};
use crate::witness::{Home, muniment};

/// An auditor's home, set to read this archive.
fn auditor(world: &World) -> Home {
    let home = Home::new("auditor.example", &[]);
    let url = format!("http://{}/v1", world.instance.address);
    let text =
        format!("name = \"auditor.example\"\n[[logs]]\nvkey = \"{}\"\nurl = \"{url}\"\n", signing().verifying_key());
    std::fs::write(home.dir.path().join("witness.toml"), text).unwrap();
    home
}

async fn audit(home: &Home, token: &str, more: &[&str]) -> Output {
    let mut command = muniment(&[&["witness", "audit", "witness.toml"], more].concat(), home.dir.path());
    command.env("MUNIMENT_TOKEN", token);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn attested(home: &Home, output: &Output) -> Attestation {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Attestation::open(&output.stdout, std::slice::from_ref(&home.key)).unwrap().0
}

async fn grow(world: &World, by: usize) -> Checkpoint {
    for n in 0..by {
        let submission = if n % 2 == 0 { gap(&world.test, "outage") } else { post(&world.test, advisor(1), "text") };
        world.test.archive.append(submission).await.unwrap();
    }
    world.test.archive.publish(true).await.unwrap().unwrap().checkpoint
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_reads_a_log_once_goes_on_where_it_ended_and_attests_at_any_checkpoint() {
    let world = World::new().await;
    let token = world.officer(&["auditor"]).await.token;
    let home = auditor(&world);
    grow(&world, 300).await;
    let first_note = world.test.archive.checkpoint(None).await.unwrap().unwrap();
    let first = attested(&home, &audit(&home, &token, &[]).await);
    assert_eq!((first.size, first.root), (first_note.checkpoint.size, first_note.checkpoint.root));
    assert_eq!(first.origin, first_note.checkpoint.origin);

    let second = grow(&world, 5).await;
    let output = audit(&home, &token, &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let read = second.size - first.size;
    assert!(said.contains(&format!("{read} of them read now")), "{said}");
    assert_eq!(attested(&home, &output).root, second.root);

    // At an earlier checkpoint, such as that of a bundle: read again, and what is kept stays.
    let path = home.dir.path().join("earlier");
    std::fs::write(&path, &first_note.note).unwrap();
    let earlier = attested(&home, &audit(&home, &token, &["--checkpoint", "earlier"]).await);
    assert_eq!(earlier, first);
    let again = audit(&home, &token, &[]).await;
    assert!(attested(&home, &again).size >= second.size);

    // A state that was damaged costs reading again.
    let state = std::fs::read_dir(home.dir.path().join("audit")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&state, bytes).unwrap();
    let output = audit(&home, &token, &[]).await;
    let all = attested(&home, &output);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("{} of them read now", all.size)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_attested_of_a_log_whose_entries_were_changed_or_which_cannot_be_read() {
    let world = World::new().await;
    let token = world.officer(&["auditor"]).await.token;
    let home = auditor(&world);
    grow(&world, 20).await;
    let refused = audit(&home, "nonsense", &[]).await;
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));

    // Changed with its leaf and all, so that only the order and the tree can tell.
    world
        .test
        .database
        .tamper(
            "update ledger.entries set body = convert_to(replace(convert_from(body, 'UTF8'), '\"outage\"', '\"outagf\"'), 'UTF8') where index = 8;
             update ledger.entries set leaf = sha256('\\x00'::bytea || body) where index = 8",
        )
        .await;
    let output = audit(&home, &token, &[]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{said}");
    assert!(said.contains("entry 9: does not name the leaf"), "{said}");
    assert!(!home.dir.path().join("audit").exists(), "nothing is kept of it");
}
