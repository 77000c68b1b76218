//! Unmodified clients on real servers through `muniment serve`: everything the server accepted is in the archive.
//!
//! The servers and clients are in `tests/real`; `./dev setup test` installs them.

mod archive;
mod audit;
mod bluesky;
mod browser;
mod mastodon;
mod parts;
mod twitter;
mod witness;
