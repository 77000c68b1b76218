//! Bodies: in memory up to a bound, on disk beyond it.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;

/// A body could not be read back, or is larger than the caller's bound.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than what the caller can hold.
    #[error("body of {size} bytes is over the bound of {bound}")]
    TooLarge {
        /// Size of the body in bytes.
        size: u64,
        /// What the caller would take, in bytes.
        bound: u64,
    },
    /// The held file could not be read.
    #[error("held body cannot be read back")]
    Io(#[from] io::Error),
}

/// Bytes that live somewhere else than in memory (an encrypted temporary file of the proxy).
pub trait BodySource: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;
    /// Reads from the start; each call gives an independent reader.
    ///
    /// # Errors
    /// When the file cannot be opened.
    fn reader(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// A whole body.
#[derive(Clone, Default)]
pub enum Body {
    /// There is none.
    #[default]
    Empty,
    /// In memory.
    Memory(Bytes),
    /// Held elsewhere.
    Held(Arc<dyn BodySource>),
}

impl Body {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Held(source) => source.size(),
        }
    }

    /// Reads from the start.
    ///
    /// # Errors
    /// When the held file cannot be opened.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Empty => Ok(Box::new(io::empty())),
            Self::Memory(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Self::Held(source) => source.reader(),
        }
    }

    /// The whole body in memory, if it is at most `bound` bytes.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub fn bytes(&self, bound: u64) -> Result<Bytes, BodyError> {
        let size = self.size();
        if size > bound {
            return Err(BodyError::TooLarge { size, bound });
        }
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::Held(source) => {
                let mut all = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
                source.reader()?.take(bound).read_to_end(&mut all)?;
                Ok(all.into())
            }
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Memory(bytes) }
    }
}

// The content stays out: a body in a log line would be somebody's words.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.size())
    }
}
