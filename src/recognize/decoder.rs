//! Named decoders: from bytes that jq cannot read to JSON, before the program runs.

use std::str::FromStr;

use super::html;
use crate::exchange::check_json;

/// Nesting of what a decoder gives.
const MAX_DEPTH: usize = 128;

/// A decoder that rules can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoder {
    /// A page: `[{"id": "initial-state", "json": …}, …]` for each `<script type="application/json">` in it.
    HtmlJson,
}

impl Decoder {
    pub(crate) const NAMES: &'static str = "`html_json`";

    /// JSON text, or none where the bytes are not what the decoder reads.
    pub(crate) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::HtmlJson => {
                let mut out = b"[".to_vec();
                for (id, json) in html::json_scripts(text) {
                    if check_json(json.as_bytes(), MAX_DEPTH).is_err() {
                        continue;
                    }
                    out.extend_from_slice(if out.len() > 1 { b",{\"id\":" } else { b"{\"id\":" });
                    serde_json::to_writer(&mut out, &id).ok()?;
                    out.extend_from_slice(b",\"json\":");
                    out.extend_from_slice(json.as_bytes());
                    out.push(b'}');
                }
                out.push(b']');
                (out.len() > 2).then_some(out)
            }
        }
    }
}

impl FromStr for Decoder {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "html_json" => Ok(Self::HtmlJson),
            _ => Err(()),
        }
    }
}
