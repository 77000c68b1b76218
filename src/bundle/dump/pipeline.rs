//! Lines of a file, worked on by several threads, handed back in order.
//!
//! One thread reads blocks of whole lines and deals them out in turn; the caller collects in the same turn, so the order needs
//! no numbers and no more than a few blocks are ever in memory. A line longer than any row can be is replaced by an empty one.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;
/// Longest line that can be a row: 65,535 bytes of which each may take five, and the other columns.
const LINE_MAX: usize = 512 << 10;
/// Blocks waiting before and behind each thread.
const WAITING: usize = 2;

/// Starts the threads. Dropping the iterator stops them.
pub(super) fn lines<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    file: File,
    threads: NonZeroUsize,
    parse: impl Fn(&[u8]) -> T + Send + Clone + 'scope,
) -> Lines<T> {
    let (mut blocks, mut results) = (Vec::new(), Vec::new());
    for _ in 0..threads.get() {
        let (to, from) = sync_channel::<io::Result<Vec<u8>>>(WAITING);
        let (done, result) = sync_channel(WAITING);
        let parse = parse.clone();
        scope.spawn(move || {
            for block in from {
                // The caller has gone: nothing is wanted any more.
                if done.send(block.map(|block| work(&block, &parse))).is_err() {
                    return;
                }
            }
        });
        blocks.push(to);
        results.push(result);
    }
    scope.spawn(move || deal(file, &blocks));
    Lines { results, turn: 0, current: Vec::new().into_iter() }
}

fn work<T>(block: &[u8], parse: &impl Fn(&[u8]) -> T) -> Vec<T> {
    let mut rows = Vec::with_capacity(block.len() / 512);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', block).chain((!block.ends_with(b"\n")).then_some(block.len())) {
        // Wherever in a block it lies, a line that is too long is none.
        let line = block.get(start..end).filter(|line| line.len() <= LINE_MAX);
        rows.push(parse(line.unwrap_or_default()));
        start = end + 1;
    }
    rows
}

/// Reads blocks that end with a line, and deals them out in turn.
fn deal(mut file: File, blocks: &[SyncSender<io::Result<Vec<u8>>>]) {
    let mut turn = blocks.iter().cycle();
    let mut send = |block| turn.next().is_some_and(|to| to.send(block).is_ok());
    let mut tail = Vec::new();
    let mut skipping = false;
    loop {
        let mut block = Vec::with_capacity(BLOCK + LINE_MAX);
        block.append(&mut tail);
        let size = match file.by_ref().take(BLOCK as u64).read_to_end(&mut block) {
            Ok(size) => size,
            Err(error) => {
                send(Err(error));
                return;
            }
        };
        let whole = memchr::memrchr(b'\n', &block).map_or(0, |at| at + 1);
        tail.extend_from_slice(block.get(whole..).unwrap_or_default());
        block.truncate(whole);
        if skipping && whole > 0 {
            // The rest of a line that was given up; the empty line before it stands for all of it.
            let end = memchr::memchr(b'\n', &block).map_or(block.len(), |at| at + 1);
            block.drain(..end);
            skipping = false;
        }
        if skipping {
            tail.clear();
        } else if tail.len() > LINE_MAX {
            tail.clear();
            block.push(b'\n');
            skipping = true;
        }
        let at_end = size == 0;
        if at_end && !tail.is_empty() {
            block.append(&mut tail);
        }
        if (!block.is_empty() && !send(Ok(block))) || at_end {
            return;
        }
    }
}

/// The parsed lines, in order.
pub(super) struct Lines<T> {
    results: Vec<Receiver<io::Result<Vec<T>>>>,
    turn: usize,
    current: std::vec::IntoIter<T>,
}

impl<T> Iterator for Lines<T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<io::Result<T>> {
        loop {
            if let Some(row) = self.current.next() {
                return Some(Ok(row));
            }
            let block = self.results.get(self.turn)?.recv().ok()?;
            self.turn = (self.turn + 1) % self.results.len();
            match block {
                Ok(rows) => self.current = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &[u8], threads: usize) -> Vec<Vec<u8>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let threads = NonZeroUsize::new(threads).unwrap();
        std::thread::scope(|scope| {
            lines(scope, file, threads, |line: &[u8]| line.to_vec()).map(Result::unwrap).collect()
        })
    }

    #[test]
    fn lines_come_back_in_order_however_many_threads() {
        let expected: Vec<_> = (0..200_000).map(|n| format!("line {n}").into_bytes()).collect();
        let text = expected.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<_>>();
        for threads in [1, 2, 5] {
            assert!(read(&text, threads) == expected);
        }
        assert_eq!(read(b"", 2), Vec::<Vec<u8>>::new());
        assert_eq!(read(b"a\n\nb", 2), [b"a".to_vec(), vec![], b"b".to_vec()]);
    }

    #[test]
    fn a_line_that_no_row_can_be_is_one_empty_line() {
        let long = vec![b'x'; 5 * BLOCK];
        let text = [b"before\n", long.as_slice(), b"\nafter\n", &long, b"\nlast\n", &long].concat();
        assert_eq!(read(&text, 2), [&b"before"[..], b"", b"after", b"", b"last", b""]);
        // Where it lies makes no difference: here it ends in the block that it began in.
        let (longest, longer) = (vec![b'x'; LINE_MAX], vec![b'x'; LINE_MAX + 1]);
        let text = [longest.as_slice(), b"\n", &longer, b"\n", &longest].concat();
        assert_eq!(read(&text, 2), [longest.as_slice(), b"", &longest]);
    }
}
