//! Lines of a file, worked on by several threads, handed back in order.
//!
//! The threads read blocks of whole lines in turn, each into memory of its own, which stays in its core's cache while the lines are worked on.
//! The caller collects in the same turn, so the order needs no numbers and no more than a few blocks are ever in memory. Where one thread is
//! asked for, it is the caller's. A line longer than any row can be is replaced by an empty one.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Bytes read at a time: few enough to stay in the cache of a core until they were worked on.
const BLOCK: usize = 256 << 10;
/// Longest line that can be a row: 65,535 bytes of which each may take five, and the other columns.
const LINE_MAX: usize = 512 << 10;
/// Blocks of results of each thread that wait for the caller.
const WAITING: usize = 4;

/// Starts the threads, if there are to be several. Dropping the iterator stops them.
pub(super) fn lines<'scope, T: Send + 'scope, P: Fn(&[u8]) -> T + Send + Clone + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    file: File,
    threads: NonZeroUsize,
    parse: P,
) -> Lines<T, P> {
    let reader = Reader { file, tail: Vec::new(), skipping: false };
    if threads == NonZeroUsize::MIN {
        return Lines::Here { reader, block: Block::new(), parse };
    }
    // Whoever has the reader may read; it goes round.
    let (first, mut turn) = sync_channel(1);
    let mut results = Vec::new();
    for number in 1..=threads.get() {
        let (to, next) = sync_channel(1);
        let to = if number == threads.get() { first.clone() } else { to };
        let (done, result) = sync_channel(WAITING);
        let (parse, mine) = (parse.clone(), std::mem::replace(&mut turn, next));
        scope.spawn(move || work(&mine, &to, &done, &parse));
        results.push(result);
    }
    // There is room for one.
    let _sent = first.send(reader);
    Lines::Threads { results, turn: 0, current: Vec::new().into_iter() }
}

/// Ends at the end of the file, when the caller is gone, and when the thread before has ended.
fn work<T>(
    mine: &Receiver<Reader>,
    to: &SyncSender<Reader>,
    done: &SyncSender<io::Result<Vec<T>>>,
    parse: &impl Fn(&[u8]) -> T,
) {
    let mut block = Block::new();
    for mut reader in mine {
        match reader.read(&mut block) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                // Whether or not the caller hears of it, nothing more is read.
                let _told = done.send(Err(error));
                return;
            }
        }
        // The thread behind has ended only where the caller is gone.
        let _gone = to.send(reader);
        let mut rows = Vec::with_capacity(BLOCK / 512);
        while let Some(line) = block.line() {
            rows.push(parse(line));
        }
        if done.send(Ok(rows)).is_err() {
            return;
        }
    }
}

/// Whole lines.
pub(super) struct Block {
    bytes: Vec<u8>,
    /// What of the bytes is not worked on yet.
    start: usize,
    end: usize,
}

impl Block {
    fn new() -> Self {
        Self { bytes: vec![0; LINE_MAX + BLOCK], start: 0, end: 0 }
    }

    fn line(&mut self) -> Option<&[u8]> {
        let rest = self.bytes.get(self.start..self.end).filter(|rest| !rest.is_empty())?;
        let size = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.start = self.end.min(self.start + size + 1);
        // Wherever in a block it lies, a line that is too long is none.
        rest.get(..size).filter(|line| line.len() <= LINE_MAX).or(Some(&[]))
    }
}

/// Reads blocks that end with a line.
pub(super) struct Reader {
    file: File,
    /// The beginning of the next line.
    tail: Vec<u8>,
    /// A line was given up, and its rest is still to come; an empty line stands for all of it.
    skipping: bool,
}

impl Reader {
    /// False at the end of the file.
    fn read(&mut self, block: &mut Block) -> io::Result<bool> {
        let Block { bytes, start, end } = block;
        loop {
            let held = self.tail.len();
            let Some((front, room)) = bytes.split_at_mut_checked(held) else { return Ok(false) };
            front.copy_from_slice(&self.tail);
            let room = room.get_mut(..BLOCK).unwrap_or_default();
            let size = match self.file.read(room) {
                Err(again) if again.kind() == io::ErrorKind::Interrupted => continue,
                size => size?,
            };
            let filled = bytes.get(..held + size).unwrap_or_default();
            // What is left at the end is the last line.
            let whole = if size == 0 { held } else { memchr::memrchr(b'\n', filled).map_or(0, |at| at + 1) };
            let (lines, tail) = filled.split_at_checked(whole).unwrap_or_default();
            self.tail.clear();
            self.tail.extend_from_slice(tail);
            (*start, *end) = (0, whole);
            if self.skipping
                && let Some(at) = memchr::memchr(b'\n', lines)
            {
                *start = at + 1;
                self.skipping = false;
            }
            if self.skipping {
                self.tail.clear();
            } else if self.tail.len() > LINE_MAX {
                self.tail.clear();
                self.skipping = true;
                if let Some(after) = bytes.get_mut(whole) {
                    (*after, *end) = (b'\n', whole + 1);
                }
            }
            if start < end {
                return Ok(true);
            }
            if size == 0 {
                return Ok(false);
            }
        }
    }
}

/// The parsed lines, in order.
pub(super) enum Lines<T, P> {
    /// Read and parsed when they are asked for.
    Here { reader: Reader, block: Block, parse: P },
    /// By threads.
    Threads { results: Vec<Receiver<io::Result<Vec<T>>>>, turn: usize, current: std::vec::IntoIter<T> },
}

impl<T, P: Fn(&[u8]) -> T> Iterator for Lines<T, P> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<io::Result<T>> {
        match self {
            Self::Here { reader, block, parse } => loop {
                if let Some(line) = block.line() {
                    return Some(Ok(parse(line)));
                }
                match reader.read(block) {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
            },
            Self::Threads { results, turn, current } => loop {
                if let Some(row) = current.next() {
                    return Some(Ok(row));
                }
                let rows = results.get(*turn)?.recv().ok()?;
                *turn = (*turn + 1) % results.len();
                match rows {
                    Ok(rows) => *current = rows.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
            },
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
        std::thread::scope(|scope| lines(scope, file, threads, <[u8]>::to_vec).map(Result::unwrap).collect())
    }

    #[test]
    fn lines_come_back_in_order_however_many_threads() {
        let expected: Vec<_> = (0..200_000).map(|n| format!("line {n}").into_bytes()).collect();
        let text = expected.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<_>>();
        for threads in [1, 2, 5] {
            assert!(read(&text, threads) == expected);
            assert_eq!(read(b"", threads), Vec::<Vec<u8>>::new());
            assert_eq!(read(b"a\n\nb", threads), [b"a".to_vec(), vec![], b"b".to_vec()]);
        }
    }

    #[test]
    fn threads_end_when_the_caller_has_seen_enough() {
        let text = b"line\n".repeat(1 << 20);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text).unwrap();
        for threads in [1, 2, 5] {
            io::Seek::rewind(&mut file).unwrap();
            let threads = NonZeroUsize::new(threads).unwrap();
            let seen = std::thread::scope(|scope| {
                lines(scope, file.try_clone().unwrap(), threads, <[u8]>::to_vec)
                    .take(999)
                    .map(|line| line.unwrap().len())
                    .sum::<usize>()
            });
            assert_eq!(seen, 999 * 4);
        }
    }

    #[test]
    fn a_line_that_no_row_can_be_is_one_empty_line() {
        let long = vec![b'x'; 5 * LINE_MAX];
        let text = [b"before\n", long.as_slice(), b"\nafter\n", &long, b"\nlast\n", &long].concat();
        for threads in [1, 2] {
            assert_eq!(read(&text, threads), [&b"before"[..], b"", b"after", b"", b"last", b""]);
        }
        // Where it lies makes no difference: here it ends in the block that it began in.
        let (longest, longer) = (vec![b'x'; LINE_MAX], vec![b'x'; LINE_MAX + 1]);
        let text = [longest.as_slice(), b"\n", &longer, b"\n", &longest].concat();
        for threads in [1, 2] {
            assert_eq!(read(&text, threads), [longest.as_slice(), b"", &longest]);
        }
    }
}
