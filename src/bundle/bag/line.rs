//! A line of a manifest: a digest, two spaces, a path.

use std::fmt;
use std::io::{self, BufRead, Read as _};

use super::zip::{NAME_MAX, is_name};
use crate::record::Digest;

/// One file that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bundle) struct Line {
    pub(in crate::bundle) digest: Digest,
    pub(in crate::bundle) path: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.digest, self.path)
    }
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let (digest, path) = text.strip_suffix('\n')?.split_once("  ")?;
        let digest = digest.parse().ok()?;
        is_name(path).then(|| Self { digest, path: path.to_owned() })
    }
}

/// Lines of a file one after the other, none longer than a bound.
pub(in crate::bundle) fn next_line(from: &mut dyn BufRead, bound: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(bound).read_until(b'\n', &mut line)?;
    Ok(Some(line).filter(|line| !line.is_empty()))
}

/// The next file that a manifest names; `Err` with the line where it is none.
pub(super) fn next(manifest: &mut dyn BufRead) -> io::Result<Option<Result<Line, String>>> {
    let line = next_line(manifest, 64 + 2 + NAME_MAX as u64 + 1)?;
    Ok(line.map(|line| {
        let parsed = std::str::from_utf8(&line).ok().and_then(Line::parse);
        parsed.ok_or_else(|| String::from_utf8_lossy(&line).trim_end().chars().take(80).collect())
    }))
}
