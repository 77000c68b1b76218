//! A witness that dies at any moment: a cosignature that left is never contradicted.

use std::time::Duration;

use muniment::ledger::{Note, parse_signature_lines};

use super::Home;
use super::log::Log;

/// Kills; `MUNIMENT_ROUNDS` asks for more.
const ROUNDS: u32 = 12;

#[test]
fn a_cosignature_that_left_is_never_contradicted_whenever_the_witness_is_killed() {
    let rounds = std::env::var("MUNIMENT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let sides = [0, 1].map(|side| Log::new("log.example/a", 1, side));
    let home = Home::new("witness.example/w1", &[sides[0].key()]);
    // What left: side, size and time.
    let mut left: Vec<(usize, u64, u64)> = Vec::new();
    for round in 0..rounds {
        let witness = home.start();
        let address = witness.address;
        let known = left.last().map_or(0, |(_side, size, _time)| *size);
        let (asked, took) = std::sync::mpsc::channel();
        let (sides, home) = (&sides, &home);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Both sides of the fork grow from wherever the witness says it is, until it is gone.
                let mut old = known;
                for step in 0..200_u64 {
                    let side = ((u64::from(round) + step) % 2) as usize;
                    let new = (old + step % 2).clamp(1, 100);
                    let Some(answer) =
                        super::ask(address, "POST /add-checkpoint", sides[side].request(old, new).as_bytes())
                    else {
                        return;
                    };
                    match answer.status {
                        200 => {
                            let lines = parse_signature_lines(answer.body.as_bytes());
                            // Cut off in the middle of the answer, it has not left whole.
                            let Ok(lines) = lines else { return };
                            let mut note = Note::parse(sides[side].checkpoint(new).as_bytes()).unwrap();
                            lines.into_iter().for_each(|line| note.add(line));
                            let vouched = note.verify(std::slice::from_ref(&home.key)).unwrap();
                            asked.send((side, new, vouched[0].time.unwrap())).unwrap();
                            old = new;
                        }
                        409 => match answer.body.trim().parse() {
                            Ok(size) => old = size,
                            Err(_cut) => return,
                        },
                        422 => {}
                        other => panic!("{other}: {answer:?}"),
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(u64::from(round * 7 % 23) * 3));
            witness.kill();
        });
        left.extend(took.try_iter());
    }
    assert!(!left.is_empty(), "no round got as far as a cosignature");
    for pair in left.windows(2) {
        let [(_, size, time), (_, next, later)] = pair else { panic!("a window of two") };
        assert!(size <= next && time <= later, "sizes and times rise: {left:?}");
    }
    let forked: std::collections::BTreeSet<usize> =
        left.iter().filter(|(_side, size, _time)| *size > 1).map(|(side, ..)| *side).collect();
    assert!(forked.len() <= 1, "one side of the fork was cosigned: {left:?}");
    // And whoever comes after all of it is told what left last.
    let last = left.last().map_or(0, |(_side, size, _time)| *size);
    let said = home.start().add(&sides[0], 0, 100);
    let remembered: u64 = if said.status == 409 { said.body.trim().parse().unwrap() } else { 0 };
    assert!(remembered >= last, "{remembered} is remembered, and {last} left");
}
