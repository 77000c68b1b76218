//! Bounds on what hostile bytes may cost us.

/// How much is read of bodies before they are kept or recognised.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest text body (JSON, form, text), content coding undone, that is held in memory to be read.
    pub text: u64,
    /// Output of content decoding beyond [`Limits::ratio_floor`] may be at most this many times its input.
    pub ratio: u64,
    /// Output up to this size is never a bomb.
    pub ratio_floor: u64,
    /// JSON nesting.
    pub depth: usize,
    /// Multipart parts.
    pub parts: usize,
    /// One multipart field that is no file.
    pub field: usize,
    /// Form and query pairs.
    pub pairs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text: 32 << 20, ratio: 256, ratio_floor: 1 << 20, depth: 128, parts: 256, field: 1 << 20, pairs: 4096 }
    }
}
